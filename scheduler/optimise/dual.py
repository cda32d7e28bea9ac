"""The dual: prices for the rows at which the jobs, each choosing alone, make a good plan.

`D(prices) = sum price x bound + sum over jobs of the best score` is above every plan's worth
at any prices that are not negative (Lagrange), and convex in them.  It is least where the
rows that cost something are just used up.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.optimise.columns import Columns, Priced
from scheduler.optimise.kernels import Floats, Wholes
from scheduler.optimise.rows import EPS, Rows
from scheduler.optimise.smooth import Sample, newton_step, settle

SAMPLE_JOBS, SAMPLED_PER_ROW = 2048, 16
FULL_STEPS, FEW_STEPS = 9, 3
FIRST_DAMPING = 0.1
ENOUGH = 1e-6
"""A step that lowers D by less than this part of it is the last, if prices also balance."""

BALANCED = 1e-5
"""Rows that cost something are used to their bounds, but for this part of D in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The dual at some prices.

    Attributes:
        prices: (rows,) float64, at least 0, value per unit of the row's bound.
        table: (measures, groups, options), what a choice is charged.
        priced: what the jobs choose.
        bound: D, rounded up.
        use: (parts,) int64.
        slack: (rows,) bound - use, float64.
    """

    prices: Floats
    table: Floats
    priced: Priced
    bound: float
    use: Wholes
    slack: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Dual:
    """The dual of one problem, with some options closed.

    Attributes:
        own: (measures, 1, 1), what the objective itself charges.
        closed: (groups, options) bool, or None.
    """

    columns: Columns
    rows: Rows
    own: Floats
    closed: NDArray[np.bool_] | None

    def at(self, prices: Floats) -> Point:
        """The dual at *prices*: one pass over all jobs."""
        table = self.rows.fold(prices) + self.own
        priced = self.columns.price(table, closed=self.closed)
        terms = [p * b for p, b in zip(prices.tolist(), self.rows.bounds, strict=True)]
        rounding = 4 * EPS * math.fsum(abs(term) for term in terms)
        bound = math.fsum([*terms, priced.total, rounding])
        return Point(
            prices=prices,
            table=table,
            priced=priced,
            bound=bound + 2 * EPS * abs(bound),
            use=self.rows.use(priced.used),
            slack=-np.array(self.rows.excess(priced.used), np.float64),
        )

    def scales(self, free: Point) -> Floats:
        """(rows,) what counts as much of each row, from what is used where nothing costs."""
        used = np.bincount(
            self.rows.row,
            np.abs(self.rows.weight * free.use.astype(np.float64)),
            minlength=self.rows.count,
        )
        bounds = np.abs(np.array(self.rows.bounds, np.float64))
        return np.maximum(np.maximum(bounds, used), 1.0)


def sample_of(dual: Dual, *, rng: np.random.Generator, most: int) -> tuple[Wholes, Floats]:
    """About *most* jobs from all groups, and how many jobs each stands for.

    Small groups come whole before large ones are thinned: their budgets' prices need it.
    """
    columns = dual.columns
    if columns.n <= most:
        return np.arange(columns.n), np.ones(columns.n)
    sizes = np.bincount(columns.groups, minlength=columns.group_count)
    wanted = np.minimum(sizes, max(8, most // (2 * columns.group_count)))
    rest = max(0, most - int(wanted.sum()))
    wanted = wanted + ((sizes - wanted) * (rest / columns.n)).astype(np.int64)
    small = sizes <= 2 * wanted
    drawn = rng.integers(0, columns.n, 4 * most)
    drawn = drawn[~small[columns.groups[drawn]]]
    jobs = np.union1d(drawn, np.flatnonzero(small[columns.groups])) if small.any() else drawn
    # Of each group, as many as are wanted, in an order that has nothing to do with the jobs'.
    jobs = rng.permutation(np.unique(jobs))
    by_group = np.argsort(columns.groups[jobs], kind="stable")
    jobs = jobs[by_group]
    groups = columns.groups[jobs]
    taken = np.bincount(groups, minlength=columns.group_count)
    rank = np.arange(len(jobs)) - (np.cumsum(taken) - taken)[groups]
    jobs = np.sort(jobs[small[groups] | (rank < wanted[groups])])
    kept = np.bincount(columns.groups[jobs], minlength=columns.group_count)
    return jobs, (sizes / np.maximum(kept, 1))[columns.groups[jobs]]


def descend(
    dual: Dual,
    free: Point,
    *,
    scales: Floats,
    rng: np.random.Generator,
    timely: Callable[[], bool],
    start: Floats | None = None,
) -> Point:
    """Prices near the least of the dual, from those of a sample (which starts at *start*)."""
    most = max(SAMPLE_JOBS, SAMPLED_PER_ROW * dual.rows.count)
    jobs, copies = sample_of(dual, rng=rng, most=most)
    sample = Sample.of(
        dual.columns.gather(jobs, closed=dual.closed),
        copies=copies,
        rows=dual.rows,
        own=dual.own,
        scales=scales,
        worth=abs(free.priced.total),
    )
    worth = sample.worth
    coldest = sample.spread * softening(dual, jobs)
    known = np.zeros(dual.rows.count) if start is None else start * scales / worth
    parts = settle(sample, known, coldest=coldest)
    best = dual.at(parts * worth / scales)
    damping = 1e-6
    # Where the sample is all jobs, the master does the rest in fewer steps.
    steps = FULL_STEPS if len(jobs) < dual.columns.n else FEW_STEPS
    for _ in range(steps):
        if not timely():
            break
        _, _, curvature = sample.soften(parts, coldest)
        step = newton_step(parts, best.slack / scales, curvature, damping)
        there = np.maximum(0.0, parts + step)
        point = dual.at(there * worth / scales)
        gained = best.bound - point.bound
        if gained <= 0.0:
            # The sample's curvature led too far: a shorter step from the same place.
            damping = max(FIRST_DAMPING, damping * 10)
            continue
        best, parts = point, there
        damping *= 0.3
        size = abs(best.bound)
        balanced = float(best.prices @ np.abs(best.slack)) < BALANCED * size
        if gained < ENOUGH * size and balanced:
            break
    return best if best.bound <= free.bound else free


def softening(dual: Dual, jobs: Wholes) -> float:
    """How soft the dual of a sample should stay, as a part of how far options lie apart.

    A row's price is set by the sample's jobs that are near a tie: with many rows, the
    softening must be wide enough that each has some.
    """
    if len(jobs) == dual.columns.n:
        return 1 / 256
    return min(1 / 8, max(1 / 256, dual.rows.count / len(jobs)))
