"""The plans that a backtest stands by: the best of those that are unlikely to be bad ones."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.reporting.backtest.doubt import Doubt, prospects
from scheduler.reporting.backtest.plans import geometric_budgets, sweep
from scheduler.reporting.backtest.simple import ladder, mixtures

Floats = NDArray[np.float64]
Choice = NDArray[np.int32]

POINTS: Final = 24
"""Budgets that plans are made for, beside those asked for; less may be spent than there is."""
RISK: Final = 0.05
"""The chance that a plan may have of being significantly worse than the simple thing."""


def cautious_plans(
    doubts: Doubt,
    cost_usd: Floats,
    *,
    tells_apart: bool,
    budgets_usd: Sequence[float],
    seed: int,
    risk: float = RISK,
) -> list[Choice]:
    """The plan at each of *budgets_usd* for items of these expected costs (t, m).

    Of all plans that a budget pays for, those may be taken whose chance of being significantly
    worse than dividing the work between two models is at most *risk*; of these, the one
    of the highest expected quality is.  The cheapest model everywhere always may.  A plan that
    leaves items out is for its own budget alone: more money could have answered them.

    Args:
        tells_apart: whether predictions may tell items apart, or work is only divided by lot.
    """
    tried = sorted({*budgets_usd, *geometric_budgets(cost_usd, points=POINTS)})
    path = ladder(doubts.quality.mean(0), cost_usd.mean(0))
    plans = mixtures(path, cost_usd, budgets_usd=tried, seed=seed)
    if tells_apart:
        # Nor is more than the cheapest paid where that may be luck: so money is left over.
        plans += sweep(
            doubts.quality, cost_usd, budgets_usd=tried, seed=seed, caution=doubts.caution
        )
    meant_for = np.resize(tried, len(plans))
    complete = np.array([(plan >= 0).all() for plan in plans])
    found = prospects(doubts, plans, cost_usd, seed=seed)
    alone = mixtures(path[:1], cost_usd, budgets_usd=budgets_usd, seed=seed)
    chosen = []
    for budget, cheapest in zip(budgets_usd, alone, strict=True):
        safe = (found.cost_usd <= budget * (1 + 1e-9)) & (found.worse <= risk)
        safe &= complete | (meant_for == budget)
        best = np.where(safe, found.quality, -np.inf)
        chosen.append(plans[int(best.argmax())] if safe.any() else cheapest)
    return chosen
