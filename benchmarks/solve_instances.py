"""Problems like a company's night: documents of many lengths, nested budgets, many options.

Drawn from a seed, so that a figure can be had again.  Dearer options are mostly better, by how
much depends on the document, and token counts spread over two orders of magnitude.
"""

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import RowKind
from scheduler.optimise.problem import COST, Factors, Problem, Row, Tariff

NUSD_PER_TOKEN = 1000
SHARED_ROWS = 5
"""Rows that are no team's budget, at the least: the organisation's, a share cap, and capacities."""


def dense(jobs: int, options: int, rows: int, seed: int) -> Problem:
    """Values and costs as arrays of jobs x options."""
    rng = np.random.default_rng(seed)
    price = np.sort(np.exp(rng.normal(0, 1.6, options)))
    skill = 0.55 + 0.35 * np.arange(options) / options
    tokens = np.exp(rng.normal(7, 0.8, jobs))
    values = np.empty((jobs, options), np.float32)
    cost = np.empty((jobs, options), np.int64)
    for at in range(0, jobs, 100_000):
        here = slice(at, min(at + 100_000, jobs))
        count = len(tokens[here])
        hard = rng.normal(0, 1, (count, 1))
        lean = 4 * (skill - 0.5) - hard + rng.normal(0, 0.7, (count, options))
        values[here] = 1 / (1 + np.exp(-lean))
        spread = 0.8 + 0.4 * rng.random((count, options))
        cost[here] = np.ceil(tokens[here, None] * price * NUSD_PER_TOKEN * spread)
    group, teams = _teams(rng, jobs, rows)
    best = np.take_along_axis(cost, values.argmax(axis=1)[:, None], axis=1)
    return Problem(
        values=values,
        measures={COST: cost},
        groups=group,
        rows=_rows(rng, jobs, options, rows, teams, group, int(0.15 * best.sum())),
    )


def factored(jobs: int, options: int, rows: int, seed: int, *, features: int) -> Problem:
    """Values as features x heads, costs as a tariff: nothing of jobs x options is ever held."""
    rng = np.random.default_rng(seed)
    price = np.sort(np.exp(rng.normal(0, 1.6, options)))
    columns = rng.standard_normal((jobs, features), dtype=np.float32)
    columns[:, 0] = 1
    heads = (0.48 / np.sqrt(features) * rng.standard_normal((features, options))).astype(np.float32)
    heads[0] = 0.4 + 0.4 * np.arange(options) / options
    counts = np.empty((jobs, 2), np.int32)
    counts[:, 0] = np.exp(rng.standard_normal(jobs, dtype=np.float32) * np.float32(0.8) + 7)
    counts[:, 1] = counts[:, 0] // 10 + 50
    rates = np.stack([price * 150_000, price * 600_000]).astype(np.int64)
    group, teams = _teams(rng, jobs, rows)
    middle = int((counts.sum(axis=0, dtype=np.int64) @ rates[:, 2 * options // 3]) // 1000)
    return Problem(
        values=Factors(features=columns, heads=heads),
        measures={COST: Tariff(counts=counts, rates=rates, divisor=1000)},
        groups=group,
        rows=_rows(rng, jobs, options, rows, teams, group, middle // 5),
    )


def _teams(rng: np.random.Generator, jobs: int, rows: int) -> tuple[NDArray[np.int32], int]:
    teams = max(1, min(rows - SHARED_ROWS, 289))
    return rng.integers(0, teams, jobs).astype(np.int32), teams


def _rows(
    rng: np.random.Generator,
    jobs: int,
    options: int,
    rows: int,
    teams: int,
    group: NDArray[np.int32],
    budget: int,
) -> tuple[Row, ...]:
    """The organisation's budget, one for each team, providers' capacities, and a share cap."""
    made = [Row(name="organisation", measure=COST, limit=budget)]
    if rows == 1:
        return tuple(made)
    dear = tuple(range(options - options // 4, options))
    made.append(
        Row(name="vendor", measure=COST, limit=400_000, options=dear, kind=RowKind.SHARE_MOST)
    )
    share = np.bincount(group, minlength=teams) / jobs
    for team in range(min(teams, rows - 2)):
        limit = int(1.3 * budget * share[team] * rng.uniform(0.6, 1.4))
        made.append(Row(name=f"team/{team}", measure=COST, limit=limit, groups=(team,)))
    capacities = [
        Row(
            name=f"requests/{option}",
            measure="requests",
            limit=int(jobs * 1.6 / options),
            options=(option % options,),
        )
        for option in range(rows - len(made))
    ]
    return (*made, *capacities)
