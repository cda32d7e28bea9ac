"""The plans that a backtest stands by: the best of those that are unlikely to be bad ones."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.reporting.backtest.doubt import Doubt, prospects
from scheduler.reporting.backtest.plans import geometric_budgets, sweep
from scheduler.reporting.backtest.simple import ladder, mixtures
from scheduler.reporting.backtest.spending import NEAR, Held, Spending

Floats = NDArray[np.float64]
Choice = NDArray[np.int32]

POINTS: Final = 24
"""Budgets that plans are made for, beside those asked for; less may be spent than there is."""
RISK: Final = 0.05
"""The chance that a plan may have of being significantly worse than the simple thing."""


def cautious_plans(
    doubts: Doubt,
    cost_usd: Floats,
    spending: Spending,
    *,
    tells_apart: bool,
    budgets_usd: Sequence[float],
    seed: int,
    more: float = 0.0,
    risk: float = RISK,
) -> list[Choice]:
    """The plan at each of *budgets_usd* for items of these expected costs (t, m).

    Of all plans that a budget pays for, with the probability of the level that *spending* has,
    those may be taken whose chance of being significantly
    worse than dividing the work between two models is at most *risk*; of these, the one
    of the highest expected quality is.  The cheapest model everywhere always may.  A plan that
    leaves items out is for its own budget alone: more money could have answered them.

    Args:
        tells_apart: whether predictions may tell items apart, or work is only divided by lot.
        more: by what part plans by predictions cost more than is expected.
    """
    tried = sorted({*budgets_usd, *geometric_budgets(spending.single_usd(cost_usd), points=POINTS)})
    path = ladder(doubts.quality.mean(0), cost_usd.mean(0))
    simple = _by_lot(path, cost_usd, spending, budgets_usd=tried, seed=seed)
    plans, most = simple.plans, simple.most_usd
    if tells_apart:
        # Nor is more than the cheapest paid where that may be luck: so money is left over.
        told = spending.held(
            lambda limits: sweep(
                doubts.quality, cost_usd, budgets_usd=limits, seed=seed, caution=doubts.caution
            ),
            cost_usd,
            budgets_usd=tried,
            more=more,
            limits_usd=[limit / (1 + more) for limit in simple.limits_usd],
        )
        plans, most = plans + told.plans, np.concatenate([most, told.most_usd])
    # A limit may come out lower than it need be, and then even the cheapest is not all paid for.
    alone = [np.full(len(cost_usd), model, np.int32) for model in path]
    plans = plans + alone
    most = np.concatenate([most, spending.most_usd(alone, cost_usd)])
    meant_for = np.resize(tried, len(plans))
    complete = np.array([(plan >= 0).all() for plan in plans])
    found = prospects(doubts, plans, cost_usd, seed=seed)
    cheapest = _by_lot(path[:1], cost_usd, spending, budgets_usd=budgets_usd, seed=seed).plans
    chosen = []
    for budget, fallback in zip(budgets_usd, cheapest, strict=True):
        safe = (most <= budget * (1 + NEAR)) & (found.worse <= risk)
        safe &= complete | (meant_for == budget)
        best = np.where(safe, found.quality, -np.inf)
        chosen.append(plans[int(best.argmax())] if safe.any() else fallback)
    return chosen


def _by_lot(
    path: Sequence[int],
    cost_usd: Floats,
    spending: Spending,
    *,
    budgets_usd: Sequence[float],
    seed: int,
) -> Held:
    """The work divided by lot between neighbours in *path*."""
    return spending.held(
        lambda limits: mixtures(path, cost_usd, budgets_usd=limits, seed=seed),
        cost_usd,
        budgets_usd=budgets_usd,
    )
