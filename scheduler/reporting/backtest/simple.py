"""The simple thing: work divided by lot between two single models."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Choice = NDArray[np.int32]


def ladder(rates: Floats, cost_usd: Floats) -> list[int]:
    """The models worth mixing, cheapest first, each dearer than the one before.

    From the cheapest on, the next is the model that brings most for its extra cost.

    Args:
        rates: (m,) mean scores; cost_usd: (m,) mean costs, NaN bars a model.
    """
    usable = np.flatnonzero(np.isfinite(cost_usd) & np.isfinite(rates))
    least = cost_usd[usable].min()
    cheapest = usable[cost_usd[usable] <= least * (1 + 1e-9)]
    path = [int(cheapest[rates[cheapest].argmax()])]
    while True:
        here = path[-1]
        better = usable[
            (cost_usd[usable] > cost_usd[here] * (1 + 1e-9)) & (rates[usable] > rates[here])
        ]
        if not len(better):
            return path
        slope = (rates[better] - rates[here]) / (cost_usd[better] - cost_usd[here])
        path.append(int(better[slope.argmax()]))


def best_mixtures(rates: Floats, cost_usd: Floats, spent_usd: Floats) -> tuple[Floats, Floats]:
    """The best division between two models at each mean cost *spent_usd* (p,).

    Where even the cheapest costs more, it does as many items as are paid for.

    Args:
        rates, cost_usd: (m,) means of the models.

    Returns:
        (p,) mean score, and (p, m) the models' shares.
    """
    path = np.array(ladder(rates, cost_usd))
    steps = cost_usd[path]
    low = np.clip(np.searchsorted(steps, spent_usd * (1 + 1e-9), side="right") - 1, 0, None)
    high = np.minimum(low + 1, len(path) - 1)
    gap = steps[high] - steps[low]
    up = np.where(gap > 0, (spent_usd - steps[low]) / np.where(gap > 0, gap, 1.0), 0.0)
    up = np.clip(up, 0.0, 1.0)
    paid = np.minimum(1.0, spent_usd * (1 + 1e-9) / steps[0]) if steps[0] > 0 else 1.0
    shares = np.zeros((len(spent_usd), len(rates)))
    at = np.arange(len(spent_usd))
    shares[at, path[low]] += (1 - up) * paid
    shares[at, path[high]] += up * paid
    return shares @ rates, shares


def mixtures(
    path: Sequence[int], cost_usd: Floats, *, budgets_usd: Sequence[float], seed: int
) -> list[Choice]:
    """The plan at each of *budgets_usd* that divides the items by lot between neighbours in *path*.

    A larger budget moves more items up, and none down.

    Args:
        cost_usd: (n, m) as expected.
    """
    order = np.random.default_rng(seed).permutation(len(cost_usd))
    steps = cost_usd[:, list(path)]
    totals = steps.sum(0)
    plans = []
    for budget in budgets_usd:
        # Costs of a model may well total less than a cheaper one's do for these very items.
        within = np.flatnonzero(totals <= budget * (1 + 1e-9))
        rung = int(within[-1]) if len(within) else -1
        choice = np.full(len(cost_usd), path[rung] if rung >= 0 else -1, np.int32)
        if rung + 1 < len(path):
            before = steps[order, rung] if rung >= 0 else 0.0
            extra = np.cumsum(steps[order, rung + 1] - before)
            free = budget - (totals[rung] if rung >= 0 else 0.0)
            choice[order[np.maximum.accumulate(extra) <= free]] = path[rung + 1]
        plans.append(choice)
    return plans
