"""The simple thing: work divided between single models, by what each did in the mean."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Choice = NDArray[np.int32]

GROUP_SPREAD: Final = 0.1
"""By how much two models' difference is thought to vary from group to group before any is seen."""
GROUP_WORTH: Final = 2.0
"""How many groups that thought is worth."""
UNKNOWN_ERROR: Final = 0.5
"""The error of a difference between models that no two items show."""


def difference_errors(score: Floats, groups: NDArray[np.int64] | None) -> Floats:
    """(m, m) standard error of each difference between two models' mean scores.

    Items of one group stand or fall together (Liang & Zeger 1986), and few groups say little
    of how much groups differ: their spread is drawn to `GROUP_SPREAD`.

    Args:
        score: (n, m), NaN where unknown.
        groups: (n,) from 0 up; None where every item stands for itself.
    """
    known = ~np.isnan(score)
    filled = np.where(known, score, 0.0)
    order = None if groups is None else np.argsort(groups, kind="stable")
    starts = None if groups is None else np.unique(groups[order], return_index=True)[1]
    errors = np.full((score.shape[1], score.shape[1]), UNKNOWN_ERROR)
    for at in range(score.shape[1]):
        both = known & known[:, [at]]
        count = both.sum(0)
        some = np.maximum(count, 2)
        off = np.where(both, filled[:, [at]] - filled, 0.0)
        off = np.where(both, off - off.sum(0) / some, 0.0)
        variance = (off**2).sum(0) / (some - 1) / some
        if order is not None and starts is not None:
            sums = np.add.reduceat(off[order], starts, axis=0)
            held = np.maximum(1, (np.add.reduceat(both[order], starts, axis=0) > 0).sum(0))
            # One group's variance: k groups' error squared is k times smaller.
            apart = (sums**2).sum(0) / some**2 * held**2 / np.maximum(held - 1, 1)
            apart = GROUP_WORTH * GROUP_SPREAD**2 + (held - 1) * apart
            variance = np.maximum(variance, apart / (GROUP_WORTH + held - 1) / held)
        errors[at] = np.where(count > 1, np.sqrt(variance), UNKNOWN_ERROR)
    np.fill_diagonal(errors, 0.0)
    return errors


def ladder(rates: Floats, cost_usd: Floats, errors: Floats) -> list[int]:
    """The models worth mixing, cheapest first, each dearer than the one before.

    From the cheapest on, the next is the model that brings most for its extra cost, with its
    gain lowered by a standard error: what may be luck is not paid for.

    Args:
        rates: (m,) mean scores; cost_usd: (m,) mean costs, NaN bars a model.
        errors: (m, m) as `difference_errors` has them.
    """
    usable = np.flatnonzero(np.isfinite(cost_usd) & np.isfinite(rates))
    least = cost_usd[usable].min()
    cheapest = usable[cost_usd[usable] <= least * (1 + 1e-9)]
    path = [int(cheapest[rates[cheapest].argmax()])]
    while True:
        here = path[-1]
        dearer = usable[cost_usd[usable] > cost_usd[here] * (1 + 1e-9)]
        gain = rates[dearer] - rates[here] - errors[dearer, here]
        slope = gain / (cost_usd[dearer] - cost_usd[here])
        if not (gain > 0).any():
            return path
        path.append(int(dearer[slope.argmax()]))


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
