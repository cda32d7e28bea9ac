"""Where a job goes when its offer fails: the next best options, at other offers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import RowKind
from scheduler.optimise.problem import Problem
from scheduler.optimise.result import RowUse
from scheduler.planning.options import REDUCTIONS

CHUNK_JOBS = 20_000
NONE = -1


def next_best(
    problem: Problem, choice: NDArray[np.int32], rows: Sequence[RowUse], *, count: int
) -> NDArray[np.int64]:
    """(n, count) options at other offers than the chosen one, best first; `NONE` where none is.

    Best at the plan's prices: value less what the money and the room cost that they would
    take from other jobs.  One option per offer: a failing offer fails at every reduction.
    """
    offers = problem.options // len(REDUCTIONS)
    count = min(count, offers)
    found = np.full((problem.jobs, count), NONE, np.int64)
    if count == 0:
        return found
    priced = price_tables(problem, rows)
    for start in range(0, problem.jobs, CHUNK_JOBS):
        here = np.arange(start, min(start + CHUNK_JOBS, problem.jobs))
        planned = here[choice[here] >= 0]
        if len(planned):
            scores = _scores(problem, planned, priced).reshape(len(planned), offers, -1)
            best = scores.argmax(2)
            score = np.take_along_axis(scores, best[:, :, None], 2)[:, :, 0]
            score[np.arange(len(planned)), choice[planned] // len(REDUCTIONS)] = -np.inf
            order = np.argsort(-score, axis=1, kind="stable")[:, :count]
            chosen = order * len(REDUCTIONS) + np.take_along_axis(best, order, 1)
            allowed = np.isfinite(np.take_along_axis(score, order, 1))
            found[planned] = np.where(allowed, chosen, NONE)
    return found


def price_tables(problem: Problem, rows: Sequence[RowUse]) -> dict[str, NDArray[np.float64]]:
    """By measure, (groups, m): what one unit costs a job of that group under that option."""
    assert problem.groups is not None
    groups = int(problem.groups.max(initial=0)) + 1
    tables: dict[str, NDArray[np.float64]] = {}
    for row, use in zip(problem.rows, rows, strict=True):
        if use.price == 0 or row.kind is RowKind.LEAST:
            # A job that moves when its offer fails need not explore any more.
            continue
        table = tables.setdefault(row.measure, np.zeros((groups, problem.options)))
        lines = np.arange(groups) if row.groups is None else np.array(row.groups)
        columns = np.arange(problem.options) if row.options is None else np.array(row.options)
        table[np.ix_(lines, columns)] += use.price
    return tables


def _scores(
    problem: Problem, jobs: NDArray[np.int64], priced: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(len(jobs), m) what each option is worth at the plan's prices; -inf where not allowed."""
    assert isinstance(problem.values, np.ndarray)
    assert problem.weights is not None
    assert problem.eligible is not None
    assert problem.groups is not None
    scores = problem.values[jobs] * problem.weights[jobs, None].astype(np.float64)
    for measure, table in priced.items():
        amounts = problem.measures.get(measure)
        unit = table[problem.groups[jobs]]
        scores -= unit if amounts is None else unit * np.asarray(amounts)[jobs]
    return np.where(problem.eligible[jobs], scores, -np.inf)
