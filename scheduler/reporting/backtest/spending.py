"""How far the sum of a plan's expected costs may be off, by what held-back items showed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.reporting.backtest.doubt import Seen, Spread, spread

Floats = NDArray[np.float64]
Choice = NDArray[np.int32]

GROUPS_THOUGHT: Final = 0.1
"""The part of single costs' variance that groups' means are thought to have before any is seen."""
KEPT_MOST: Final = 0.4
"""The part of a budget that may be kept back: where so little is known, no sum would be sure, and
answers whose costs are not known are worth more than money left over."""
NEAR: Final = 1e-3
"""What a budget may be missed by: no quantile is known better."""
TURNS_MOST: Final = 3
"""How often a budget's plan is made anew because too much might be spent on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The plans made for some budgets, and what they were held to.

    Attributes:
        limits_usd: what each plan's expected cost was limited to.
        most_usd: what each plan costs at most, with the probability of the level.
    """

    plans: list[Choice]
    limits_usd: list[float]
    most_usd: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What is not known of the costs of test items, for m models.

    Attributes:
        unit_usd: (m,) what an answer costs on average; `off` is in such units.
        off: how costs vary around what is expected of them.
        groups: (t,) each test item's group, from 0 up; none of them was seen.
        level: the probability with which no more is to be spent than a budget.
    """

    unit_usd: Floats
    off: Spread
    groups: NDArray[np.int64]
    level: float

    @staticmethod
    def of(
        expected_usd: Floats,
        paid_usd: Floats,
        *,
        groups: tuple[Sequence[str], Sequence[str]] | None,
        items: int,
        level: float,
    ) -> "Spending":
        """What held-back training items teach, whose costs were *expected_usd* and *paid_usd*.

        Args:
            expected_usd, paid_usd: (d, m), NaN where unknown.
            groups: of these d items and of the test items.
            items: how many test items there are.
        """
        known = ~np.isnan(paid_usd)
        counts = known.sum(0).astype(np.float64)
        unit = np.where(known, paid_usd, 0.0).sum(0) / np.maximum(counts, 1)
        unit = np.maximum(unit, 1e-12)
        at = np.zeros(items, np.int64)
        if groups is not None:
            at = np.unique(np.asarray(groups[1]), return_inverse=True)[1].astype(np.int64)
        seen = Seen(
            off=(paid_usd - expected_usd) / unit,
            counts=counts,
            groups=None if groups is None else groups[0],
        )
        return Spending(
            unit_usd=unit, off=spread(seen, thought=GROUPS_THOUGHT), groups=at, level=level
        )

    def single_usd(self, cost_usd: Floats) -> Floats:
        """*cost_usd* (t, m), each column raised to total what its model alone costs at most."""
        usable = np.flatnonzero(np.isfinite(cost_usd).all(0))
        alone = [np.full(len(cost_usd), at, np.int32) for at in usable.tolist()]
        found = cost_usd.copy()
        totals = np.maximum(cost_usd[:, usable].sum(0), 1e-300)
        found[:, usable] *= self.most_usd(alone, cost_usd) / totals
        return found

    def most_usd(self, plans: Sequence[Choice], cost_usd: Floats, *, more: float = 0.0) -> Floats:
        """(p,) what each of *plans* costs at most, with the probability of the level.

        Args:
            cost_usd: (t, m) as expected.
            more: by what part plans like these cost more than is expected.
        """
        return self._totals(plans, cost_usd, more)[1]

    def held(
        self,
        make: Callable[[Sequence[float]], list[Choice]],
        cost_usd: Floats,
        *,
        budgets_usd: Sequence[float],
        more: float = 0.0,
        limits_usd: Sequence[float] | None = None,
    ) -> Held:
        """The plans that *make* makes of limits so low that at most the budgets are spent.

        By how much a plan may cost more than is expected is not known before it is there; those
        that may cost too much are made anew.

        Args:
            limits_usd: where to start; at the budgets without it.
        """
        limits = list(budgets_usd if limits_usd is None else limits_usd)
        plans = make(limits)
        for turn in range(TURNS_MOST + 1):
            expected, most = self._totals(plans, cost_usd, more)
            over = np.flatnonzero(most > np.asarray(budgets_usd) * (1 + NEAR)).tolist()
            if not over or turn == TURNS_MOST:
                break
            for at in over:
                limits[at] = float(expected[at] * budgets_usd[at] / most[at])
            for at, plan in zip(over, make([limits[at] for at in over]), strict=True):
                plans[at] = plan
        return Held(plans=plans, limits_usd=limits, most_usd=most)

    def _totals(
        self, plans: Sequence[Choice], cost_usd: Floats, more: float
    ) -> tuple[Floats, Floats]:
        """(p,) USD that each of *plans* is said to cost, and that it costs at most."""
        each = [self._moments(plan, cost_usd) for plan in plans]
        expected, error = np.array(each).reshape(-1, 2).T
        quantile = _quantile(self.level, self.off.freedom)
        most = np.asarray(expected * (1 + more) + quantile * error)
        return expected, np.minimum(most, expected / (1 - KEPT_MOST))

    def _moments(self, plan: Choice, cost_usd: Floats) -> tuple[float, float]:
        """The expected cost of *plan* and its standard error, USD."""
        items = np.flatnonzero(plan >= 0)
        model = plan[items]
        models, groups = len(self.unit_usd), int(self.groups.max()) + 1
        cell = self.groups[items] * models + model
        share = np.bincount(cell, minlength=groups * models).reshape(groups, models)
        usd = share * self.unit_usd
        every = usd.sum(0)
        variance = (
            (every * self.unit_usd) @ np.diag(self.off.item)
            + every @ self.off.mean @ every
            + np.einsum("gi,ij,gj->", usd, self.off.group, usd)
        )
        return float(cost_usd[items, model].sum()), float(np.sqrt(max(variance, 0.0)))


def _quantile(level: float, freedom: float) -> float:
    """Of Student's t, by its expansion (Abramowitz & Stegun 26.7.5); normal without end."""
    z = NormalDist().inv_cdf(level)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
