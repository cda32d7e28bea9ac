"""Jobs whose choice is unclear at some prices, and what it would do to move them."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.optimise import moves
from scheduler.optimise.columns import Subset
from scheduler.optimise.dual import Dual, Point
from scheduler.optimise.kernels import Floats, Indices, Singles, Wholes, charge
from scheduler.optimise.rows import Rows

SAMPLED = 20_000
"""How many regrets tell roughly where the least clear jobs are."""

OF_EACH_GROUP, MOST_OF_GROUPS = 64, 32_000
"""How many jobs of each group are looked at, at the least; and of all groups together."""

Tables = tuple[Indices, Wholes, Wholes, Wholes, Wholes, Wholes, Wholes, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """Some jobs of a plan with all their options, and the rows' state.

    The last three arrays change as the jobs are moved.

    Attributes:
        subset: the jobs.
        everything: whether these are all jobs there are.
        reduced: (s, m + 1) scores at the prices, deferral last.
        plain: (s, m + 1) scores at no prices but the objective's own.
        begins, entries, part_begins: see `Rows.by_place` and `scheduler.optimise.moves`.
        chosen: (s,) int32, m where deferred.
        use: (parts,) int64, of all jobs and not of these alone.
        excess: (rows,) float64.
    """

    subset: Subset
    everything: bool
    rows: Rows
    scales: Floats
    reduced: Floats
    plain: Floats
    begins: Wholes
    entries: Wholes
    part_begins: Wholes
    bounds: Wholes
    chosen: Indices
    use: Wholes
    excess: Floats

    @property
    def broken(self) -> bool:
        """Whether any row is."""
        return bool(self.excess.max(initial=0.0) > 0.0)

    @property
    def tables(self) -> Tables:
        """What the compiled loops read and do not change, in their order."""
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

    def plan(self, choice: Indices, chosen: Indices | None = None) -> Indices:
        """*choice* (n,) with these jobs where they now are, or at *chosen* (s,)."""
        plan = choice.copy()
        here = self.chosen if chosen is None else chosen
        plan[self.subset.jobs] = np.where(here == self.plain.shape[1] - 1, -1, here)
        return plan


def unclear_jobs(
    dual: Dual,
    point: Point,
    *,
    scales: Floats,
    count: int,
    choice: Indices | None = None,
    used: Wholes | None = None,
) -> Unclear:
    """The *count* jobs whose choice is least clear at *point*, and some of every group.

    They stand as *choice* (n,), which uses *used*, has them; as the prices would, unless told.
    """
    columns, rows = dual.columns, dual.rows
    jobs = _unclear(point.priced.regret, columns.groups, columns.group_count, count)
    subset = columns.gather(jobs, closed=dual.closed)
    plain = _with_deferral(subset, dual.own)
    chosen = (point.priced.choice if choice is None else choice)[jobs]
    begins, entries, _ = rows.by_place()
    unclear = Unclear(
        subset=subset,
        everything=len(jobs) == columns.n,
        rows=rows,
        scales=scales,
        reduced=_with_deferral(subset, point.table),
        plain=plain,
        begins=begins,
        entries=entries,
        part_begins=np.searchsorted(rows.row, np.arange(rows.count + 1)).astype(np.int64),
        bounds=np.array(rows.bounds, np.int64),
        chosen=np.where(chosen < 0, plain.shape[1] - 1, chosen).astype(np.int32),
        use=rows.use(point.priced.used if used is None else used),
        excess=np.zeros(rows.count),
    )
    state = (unclear.part_begins, rows.weight, unclear.bounds, unclear.use)
    for k in range(rows.count):
        unclear.excess[k] = moves.excess_of(k, *state)
    return unclear


def _unclear(regret: Singles, groups: Indices, group_count: int, count: int) -> Wholes:
    jobs = nearest(regret, count)
    each = max(count // (2 * group_count), min(OF_EACH_GROUP, MOST_OF_GROUPS // group_count))
    if group_count > 1 and each and len(jobs) < len(regret):
        jobs = np.union1d(jobs, nearest_of_each(regret, groups, each))
    return jobs


def _with_deferral(subset: Subset, table: Floats) -> Floats:
    """(s, m + 1) scores at the prices in *table*, deferral last."""
    scores = subset.scores.copy()
    for k in range(len(table)):
        if table[k].any():
            charge(subset.amounts[k], table[k], subset.groups, scores)
    return np.concatenate([scores, subset.deferral[:, None]], axis=1)


def nearest(regret: Singles, count: int) -> Wholes:
    """The *count* jobs whose choice is least clear, in their own order."""
    if count >= len(regret):
        return np.arange(len(regret))
    jobs = _below(regret, 2 * count)
    if len(jobs) < count:
        jobs = np.arange(len(regret))
    if len(jobs) > count:
        jobs = jobs[np.argpartition(regret[jobs], count)[:count]]
    return np.sort(jobs)


def nearest_of_each(regret: Singles, groups: Indices, each: int) -> Wholes:
    """About *each* jobs of every group whose choice is least clear, in their own order.

    A group's budget can be mended by its own jobs alone, and the jobs that are least
    clear over all may have none of them.
    """
    count = int(groups.max(initial=0)) + 1
    jobs = _below(regret, 4 * each * count)
    order = np.lexsort((regret[jobs], groups[jobs]))
    jobs = jobs[order]
    sizes = np.bincount(groups[jobs], minlength=count)
    rank = np.arange(len(jobs)) - (np.cumsum(sizes) - sizes)[groups[jobs]]
    return np.sort(jobs[rank < each])


def _below(regret: Singles, count: int) -> Wholes:
    """Roughly the *count* jobs whose choice is least clear; a sample tells where the line is."""
    some = np.sort(regret[:: max(1, len(regret) // SAMPLED)])
    line = some[min(len(some) - 1, count * len(some) // len(regret) + 20)]
    return np.flatnonzero(regret <= line)


def cheap_moves(unclear: Unclear, count: int) -> tuple[Wholes, Wholes, Floats]:
    """The *count* moves that lose least at the prices: jobs, options, losses."""
    own = np.take_along_axis(unclear.reduced, unclear.chosen[:, None], axis=1)
    losses = np.maximum(own - unclear.reduced, 0.0)
    np.put_along_axis(losses, unclear.chosen[:, None], np.inf, axis=1)
    flat = losses.ravel()
    listed = np.flatnonzero(np.isfinite(flat))
    if len(listed) > count:
        listed = listed[np.argpartition(flat[listed], count)[:count]]
    listed = np.sort(listed)
    job, option = np.divmod(listed, losses.shape[1])
    return job, option, flat[listed]


def shifts_of(unclear: Unclear, job: Wholes, option: Wholes) -> Floats:
    """(moves, rows) what each move adds to each row's sum."""
    shifts = np.zeros((len(job), unclear.rows.count))
    moves.shift_rows(
        job,
        option,
        unclear.chosen,
        unclear.subset.groups,
        unclear.subset.amounts,
        unclear.begins,
        unclear.entries,
        unclear.rows.weight,
        shifts,
    )
    return shifts


def may_bind(shifts: Floats, slack: Floats, prices: Floats) -> NDArray[np.bool_]:
    """(rows,) which rows some of the moves could break, or cost something; the rest are no limits.

    A limit that means "as much as you like" may be more than can be added up exactly.
    """
    # A little below the slack, since sums of so large numbers are rounded.
    reach = np.maximum(shifts, 0.0).sum(axis=0)
    return np.asarray((reach > slack * (1 - 1e-9)) | (prices > 0.0))


def runs(job: Wholes) -> list[tuple[int, int]]:
    """Where each job's moves start and end, in a list sorted by job."""
    ends = [*np.flatnonzero(np.diff(job, prepend=-1)).tolist(), len(job)]
    return list(itertools.pairwise(ends))
