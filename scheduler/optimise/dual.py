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

SAMPLE_JOBS = 2048
FULL_STEPS = 8
ENOUGH = 1e-6
"""A step that lowers D by less than this part of it is the last."""


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
    """Up to *most* jobs drawn from every group, and how many jobs each stands for."""
    columns = dual.columns
    if columns.n <= most:
        return np.arange(columns.n), np.ones(columns.n)
    order = rng.permutation(columns.n)
    sizes = np.bincount(columns.groups, minlength=columns.group_count)
    # Small groups are drawn whole before large ones are thinned: their budgets need it.
    wanted = np.minimum(sizes, max(8, most // (4 * columns.group_count)))
    rest = max(0, most - int(wanted.sum()))
    wanted = wanted + ((sizes - wanted) * min(1.0, rest / max(1, columns.n))).astype(np.int64)
    groups = columns.groups[order]
    by_group = np.argsort(groups, kind="stable")
    starts = np.cumsum([0, *sizes[:-1]])
    rank = np.arange(columns.n) - starts[groups[by_group]]
    picked = by_group[rank < wanted[groups[by_group]]]
    jobs = np.sort(order[picked])
    copies = sizes[columns.groups[jobs]] / wanted[columns.groups[jobs]]
    return jobs, copies


def descend(
    dual: Dual,
    free: Point,
    *,
    scales: Floats,
    rng: np.random.Generator,
    timely: Callable[[], bool],
    start: Floats | None = None,
) -> Point:
    """Prices near the least of the dual, from *start* or else from those of a sample."""
    worth = max(abs(free.priced.total), 1e-300)
    jobs, copies = sample_of(dual, rng=rng, most=SAMPLE_JOBS)
    sample = Sample.of(
        dual.columns.gather(jobs, closed=dual.closed),
        copies=copies,
        rows=dual.rows,
        own=dual.own,
        scales=scales,
        worth=worth,
    )
    coldest = sample.spread() * softening(dual, jobs)
    if start is None:
        parts = settle(sample, np.zeros(dual.rows.count), coldest=coldest)
    else:
        parts = start * scales / worth
    best = dual.at(parts * worth / scales)
    damping = 1e-6
    for _ in range(FULL_STEPS):
        if not timely():
            break
        _, _, curvature = sample.soften(parts, coldest)
        step = newton_step(parts, best.slack / scales, curvature, damping)
        there = np.maximum(0.0, parts + step)
        point = dual.at(there * worth / scales)
        gained = best.bound - point.bound
        if gained > 0.0:
            best, parts = point, there
        if gained < ENOUGH * abs(best.bound):
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
