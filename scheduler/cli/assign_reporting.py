"""What `apportion assign` answers: a summary, the plan as a file, and the front as a picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from scheduler.cli.assign_reading import Estimates
from scheduler.domain.money import NUSD_PER_USD
from scheduler.optimise.problem import COST, Objective, Problem
from scheduler.optimise.result import Result


def summary(
    estimates: Estimates, problem: Problem, result: Result, *, load_s: float
) -> dict[str, Any]:
    """The answer as one JSON object."""
    chosen = result.choice
    counts = np.bincount(chosen[chosen >= 0], minlength=problem.options)
    cost_nusd = int(_picked(estimates.cost_nusd, chosen).sum())
    planned = result.has_plan
    found: dict[str, Any] = {
        "status": str(result.status),
        "items": problem.jobs,
        "options": problem.options,
        "value": result.value if planned else None,
        "bound": result.bound if np.isfinite(result.bound) else None,
        "gap": result.gap if planned else None,
        "cost_usd": cost_nusd / NUSD_PER_USD,
        "cost_nusd": cost_nusd,
        "deferred": result.deferred,
        "quality": float(_picked(estimates.quality, chosen).sum(dtype=np.float64)),
        "chosen": {estimates.options[o]: int(counts[o]) for o in np.flatnonzero(counts)},
        "prices": {row.name: _price(row.price, row.measure) for row in result.rows},
        "rows": [_row(row) for row in result.rows],
        "conflict": [
            {"rule": each.rule, "amount": each.amount, "plain": each.plain}
            for each in result.conflict
        ],
        "passes": result.passes,
        "load_seconds": load_s,
        "seconds": result.seconds,
        "seed": result.seed,
    }
    if estimates.tokens is not None:
        found["tokens"] = int(_picked(estimates.tokens, chosen).sum())
    return found


def _price(price: float, measure: str) -> float:
    """What one more USD buys, or one more hundredth of mean quality."""
    return price * (NUSD_PER_USD if measure == COST else 10_000)


def _row(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "limit": row.limit,
        "use": row.use,
        "slack": row.slack,
        "price": _price(row.price, row.measure),
        "plain": row.plain,
    }


def _picked(table: NDArray[Any], choice: NDArray[np.int32]) -> NDArray[Any]:
    """Each item's entry for its choice; 0 where it is deferred."""
    picked = np.take_along_axis(table, np.maximum(choice, 0)[:, None], axis=1)[:, 0]
    return np.where(choice >= 0, picked, 0)


def write_plan(path: Path, estimates: Estimates, result: Result) -> None:
    """One row per item: its option, empty where it is deferred, and what that costs."""
    choice = result.choice
    served = choice >= 0
    options = pa.array(estimates.options, pa.string())
    columns = {
        "item_id": estimates.items,
        "option": options.take(pa.array(choice, mask=~served)),
        "quality": pa.array(
            _picked(estimates.quality, choice).astype(np.float64).round(7), mask=~served
        ),
        "cost_usd": pa.array(_picked(estimates.cost_nusd, choice) / NUSD_PER_USD, mask=~served),
    }
    if estimates.groups != [""]:
        columns["group"] = pa.array(estimates.groups, pa.string()).take(pa.array(estimates.group))
    if result.alternatives is not None:
        following = result.alternatives.options[:, 0].astype(np.int32)
        columns["next_option"] = options.take(pa.array(following, mask=following < 0))
    table = pa.table(columns)
    if path.suffix.lower() in (".parquet", ".pq"):
        parquet.write_table(table, path)
    else:
        csv.write_csv(table, path)


def draw(
    path: Path,
    estimates: Estimates,
    problem: Problem,
    result: Result,
    *,
    points: int,
    seed: int,
    time_limit_s: float,
) -> dict[str, Any]:
    """Draw the front that the money alone sets, and this plan on it; its points, for JSON."""
    from scheduler.cli.assign_plotting import draw_front
    from scheduler.optimise.frontier import frontier, single_options

    free = Problem(
        values=problem.values,
        measures=problem.measures,
        groups=problem.groups,
        eligible=problem.eligible,
        objective=Objective.VALUE,
    )
    front = frontier(free, points=points, seed=seed, time_limit_s=time_limit_s)
    cost_nusd = int(_picked(estimates.cost_nusd, result.choice).sum())
    quality = float(_picked(estimates.quality, result.choice).sum(dtype=np.float64))
    singles = single_options(free)
    draw_front(
        path,
        front,
        singles,
        options=estimates.options,
        items=problem.jobs,
        chosen=(cost_nusd, quality),
    )
    return {
        "frontier": [
            {"cost_usd": p.cost_nusd / NUSD_PER_USD, "value": p.value, "bound": p.bound}
            for p in front
        ],
        "single_options": [
            {
                "option": estimates.options[s.option],
                "cost_usd": s.cost_nusd / NUSD_PER_USD,
                "value": s.value,
                "served": s.served,
            }
            for s in singles
        ],
    }
