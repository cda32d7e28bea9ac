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

SAMPLE_JOBS = 8192
FULL_STEPS = 6


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
) -> tuple[Point, float]:
    """Prices near the least of the dual, from those of a sample; and the least D seen."""
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
    parts = settle(sample, np.zeros(dual.rows.count))
    best = dual.at(parts * worth / scales)
    bound = min(free.bound, best.bound)
    warmth = 0.25 * sample.spread() / 256
    share = 1.0
    for _ in range(FULL_STEPS):
        if not timely():
            break
        _, _, curvature = sample.soften(parts, warmth)
        step = newton_step(parts, best.slack / scales, curvature, 1e-6)
        there = np.maximum(0.0, parts + share * step)
        point = dual.at(there * worth / scales)
        if point.bound >= best.bound:
            share *= 0.25
            continue
        gained = best.bound - point.bound
        best, parts = point, there
        bound = min(bound, point.bound)
        if gained < 1e-7 * abs(bound):
            break
    return best, bound
