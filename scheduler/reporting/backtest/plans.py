"""Plans of a set of items under a sweep of budgets, by the service's own solve."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.money import NUSD_PER_USD
from scheduler.domain.plan import Row
from scheduler.optimise.problem import COST, Problem
from scheduler.optimise.solve import solve

Floats = NDArray[np.float64]
Choice = NDArray[np.int32]

TIME_LIMIT_S = 20.0
LEAST_WORTH = 1e-4
"""Any answer is worth more than none."""
GAP = 1e-3
"""Predictions are not exact enough for a proof beyond this, or beyond one item's worth, to
be worth its seconds."""


def planned(
    quality: Floats,
    cost_usd: Floats,
    *,
    budget_usd: float,
    seed: int,
    caution: Floats | float = 0.0,
) -> Choice:
    """(n,) the model for each item that makes the most of *budget_usd*; -1: deferred.

    Args:
        quality, cost_usd: (n, m) as expected; NaN costs bar a model for an item.
        caution: (m,) quality that each model must bring beyond the cheapest; money is left
            over rather than spent on differences that may be luck.
    """
    barred = ~np.isfinite(cost_usd) | ~np.isfinite(quality)
    worth = quality - caution
    problem = Problem(
        values=np.where(barred, 0.0, np.maximum(worth, LEAST_WORTH)).astype(np.float32),
        measures={COST: nusd(np.where(barred, 0.0, cost_usd))},
        eligible=~barred,
        rows=(Row(name="budget", measure=COST, limit=int(budget_usd * NUSD_PER_USD)),),
    )
    return solve(
        problem, seed=seed, time_limit_s=TIME_LIMIT_S, gap=max(GAP, 1 / len(quality))
    ).choice


def nusd(cost_usd: Floats) -> NDArray[np.int64]:
    """*cost_usd* as nUSD, rounded up."""
    return np.ceil(np.round(cost_usd * NUSD_PER_USD, 6)).astype(np.int64)


def geometric_budgets(cost_usd: Floats, *, points: int) -> tuple[float, ...]:
    """Budgets from what the cheapest single model would cost to what the dearest would.

    Args:
        cost_usd: (n, m) as expected, for the items to plan.
    """
    totals = np.nansum(cost_usd, 0)
    totals = totals[totals > 0]
    if not len(totals):
        return (0.0,)
    if totals.max() <= totals.min() * (1 + 1e-6):
        return (float(totals.max()),)
    return tuple(np.geomspace(totals.min(), totals.max(), points).tolist())


def sweep(
    quality: Floats,
    cost_usd: Floats,
    *,
    budgets_usd: Sequence[float],
    seed: int,
    caution: Floats | float = 0.0,
) -> list[Choice]:
    """The plan at each of *budgets_usd*."""
    return [
        planned(quality, cost_usd, budget_usd=budget, seed=seed, caution=caution)
        for budget in budgets_usd
    ]
