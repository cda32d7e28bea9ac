"""From prices to whole numbers: mend what is broken at the least loss, then spend what is left.

At good prices nearly every job has a clear choice, and what those choices use is off the
rows' limits by a few jobs.  Only jobs whose best options are close are looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.optimise import moves
from scheduler.optimise.columns import Subset
from scheduler.optimise.kernels import Floats, Indices, Wholes, charge
from scheduler.optimise.rows import Rows

SWEEPS = 40
MOVES_PER_JOB = 4
"""How many options of a job are looked at in a repair, on the average; unless all jobs are."""

LISTED = 200_000
"""The most moves that one sweep tries."""


Tables = tuple[Indices, Wholes, Wholes, Wholes, Wholes, Wholes, Wholes, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Unclear jobs with their options, and the rows' state; the arrays change as jobs move.

    Attributes:
        subset: the unclear jobs.
        reduced: (s, m + 1) scores at the plan's prices, deferral last.
        plain: (s, m + 1) scores at no prices but the objective's own.
        chosen: (s,) int32, m where deferred.
        use: (parts,) int64, of all jobs and not the unclear alone.
        excess: (rows,) float64.
    """

    subset: Subset
    rows: Rows
    scales: Floats
    reduced: Floats
    plain: Floats
    chosen: Indices
    use: Wholes
    excess: Floats
    begins: Wholes
    entries: Wholes
    part_begins: Wholes
    bounds: Wholes
    everything: bool

    @property
    def broken(self) -> bool:
        """Whether any row is."""
        return bool(self.excess.max(initial=0.0) > 0.0)

    def repair(self) -> bool:
        """Mend every row, at the least loss per unit mended; whether that was possible."""
        losses = self._cheap_losses()
        rates = np.empty_like(losses)
        for _ in range(SWEEPS):
            if not self.broken:
                return True
            moves.rate_repairs(self.chosen, losses, *self._tables(), self.use, self.excess, rates)
            if not self._sweep(rates, repairing=True, gains=losses, rates=rates):
                break
        return not self.broken

    def _cheap_losses(self) -> Floats:
        """What every option loses at the prices; infinite for all but the cheapest few a job."""
        losses: Floats = self.reduced.max(axis=1, keepdims=True) - self.reduced
        kept = MOVES_PER_JOB * len(losses)
        if kept < losses.size and not self.everything:
            losses[losses > np.partition(losses.ravel(), kept)[kept]] = np.inf
        return losses

    def improve(self) -> None:
        """Spend what the rows leave, on the moves that gain most at the plan's prices."""
        for _ in range(SWEEPS):
            own = np.take_along_axis(self.plain, self.chosen[:, None], axis=1)
            lost = self.reduced.max(axis=1, keepdims=True) - self.reduced
            order = np.where(self.plain > own, lost, np.inf)
            if not self._sweep(order, repairing=False, gains=self.plain, rates=order):
                break

    def plan(self, choice: Indices) -> Indices:
        """*choice* (n,) with these jobs where they now are."""
        return self.plan_with(choice, self.chosen)

    def plan_with(self, choice: Indices, chosen: Indices) -> Indices:
        """*choice* (n,) with these jobs at *chosen* (s,), m where deferred."""
        plan = choice.copy()
        deferral = self.plain.shape[1] - 1
        plan[self.subset.jobs] = np.where(chosen == deferral, -1, chosen)
        return plan

    def _sweep(self, order: Floats, *, repairing: bool, gains: Floats, rates: Floats) -> int:
        flat = order.ravel()
        listed = np.flatnonzero(np.isfinite(flat))
        if len(listed) > LISTED:
            listed = listed[np.argpartition(flat[listed], LISTED)[:LISTED]]
        listed = listed[np.argsort(flat[listed], kind="stable")]
        job, option = np.divmod(listed, order.shape[1])
        state = (self.use, self.excess)
        tables = self._tables()
        return int(moves.sweep(job, option, repairing, self.chosen, gains, rates, *tables, *state))

    def _tables(self) -> Tables:
        """What the compiled loops read and do not change."""
        return (
            self.subset.groups,
            self.subset.amounts,
            self.begins,
            self.entries,
            self.part_begins,
            self.rows.weight,
            self.bounds,
            self.scales,
        )


def whole_of(
    subset: Subset,
    *,
    rows: Rows,
    scales: Floats,
    table: Floats,
    own: Floats,
    choice: Indices,
    used: Wholes,
) -> Whole:
    """The unclear jobs *subset* of a plan (*choice*, *used*) at the prices in *table*."""
    plain = with_deferral(subset, own)
    chosen = choice[subset.jobs]
    begins, entries, _ = rows.by_place()
    whole = Whole(
        subset=subset,
        rows=rows,
        scales=scales,
        reduced=with_deferral(subset, table),
        plain=plain,
        chosen=np.where(chosen < 0, plain.shape[1] - 1, chosen).astype(np.int32),
        use=rows.use(used),
        excess=np.zeros(rows.count),
        begins=begins,
        entries=entries,
        part_begins=np.searchsorted(rows.row, np.arange(rows.count + 1)).astype(np.int64),
        bounds=np.array(rows.bounds, np.int64),
        everything=len(subset.jobs) == len(choice),
    )
    for k in range(rows.count):
        whole.excess[k] = moves.excess_of(
            k, whole.part_begins, rows.weight, whole.bounds, whole.use
        )
    return whole


def with_deferral(subset: Subset, table: Floats) -> Floats:
    """(s, m + 1) scores at the prices in *table*, deferral last."""
    scores = subset.scores.copy()
    for k in range(len(table)):
        if table[k].any():
            charge(subset.amounts[k], table[k], subset.groups, scores)
    return np.concatenate([scores, subset.deferral[:, None]], axis=1)


def nearest(regret: NDArray[np.float32], count: int) -> Wholes:
    """The *count* jobs whose choice is least clear, in their own order."""
    if count >= len(regret):
        return np.arange(len(regret))
    return np.sort(np.argpartition(regret, count)[:count])


def complete(whole_at: Callable[[int], Whole], *, choice: Indices, count: int) -> Indices | None:
    """A plan near *choice* that keeps every row; None where none was found.

    *whole_at(count)* gives the *count* least clear jobs; more are looked at while need be.
    """
    most = len(choice)
    while True:
        whole = whole_at(count)
        if whole.repair():
            whole.improve()
            return whole.plan(choice)
        if count >= most:
            return None
        count *= 8
