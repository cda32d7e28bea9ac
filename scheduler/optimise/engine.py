"""The solve, step by step: prices, then whole numbers, then the proof."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import RowKind
from scheduler.optimise.checking import check
from scheduler.optimise.columns import Columns
from scheduler.optimise.complete import complete
from scheduler.optimise.dual import Dual, Point, descend
from scheduler.optimise.kernels import Floats, Indices
from scheduler.optimise.problem import Problem
from scheduler.optimise.report import row_uses
from scheduler.optimise.result import Alternatives, Result, Status
from scheduler.optimise.rows import EPS, Rows

UNCLEAR_JOBS = 4096
GAP_OPTIMAL = 1e-9


class Engine:
    """One problem on its way to a plan."""

    def __init__(
        self,
        problem: Problem,
        *,
        seed: int,
        threads: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._started = clock()
        self._problem = problem
        self._seed = seed
        check(problem)
        self._columns = Columns(problem, threads=threads)

    def run(self, *, time_limit_s: float, alternatives: int) -> Result:
        """The plan, with its proof."""
        columns = self._columns
        own = columns.own_prices[:, None, None]
        rows = Rows.of(
            tuple(row for row in self._problem.rows if row.kind is not RowKind.ALL_OR_NOTHING),
            measures=columns.measures,
            groups=columns.group_count,
            options=columns.m,
        )
        dual = Dual(columns=columns, rows=rows, own=own - np.abs(own) * 4 * EPS, closed=None)
        rng = np.random.default_rng(self._seed)
        free = dual.at(np.zeros(rows.count))
        scales = dual.scales(free)
        best, bound = free, free.bound
        if free.slack.min(initial=0.0) < 0:
            best, bound = descend(
                dual,
                free,
                scales=scales,
                rng=rng,
                timely=lambda: self._clock() - self._started < time_limit_s,
            )
        plan = self._complete(dual, best, scales)
        return self._result(rows, best, bound, plan, alternatives)

    def _complete(self, dual: Dual, best: Point, scales: Floats) -> Indices | None:
        return complete(
            self._columns,
            rows=dual.rows,
            scales=scales,
            table=best.table,
            own=dual.own,
            choice=best.priced.choice,
            regret=best.priced.regret,
            used=best.priced.used,
            closed=dual.closed,
            count=UNCLEAR_JOBS,
        )

    def _result(
        self,
        rows: Rows,
        best: Point,
        bound: float,
        plan: Indices | None,
        alternatives: int,
    ) -> Result:
        columns = self._columns
        if plan is None:
            return Result(
                status=Status.UNKNOWN,
                choice=np.full(columns.n, -1, np.int32),
                value=-np.inf,
                bound=bound,
                gap=np.inf,
                passes=columns.passes,
                seconds=self._clock() - self._started,
                seed=self._seed,
            )
        worth, used = columns.measure_up(plan)
        cost = self._cost(used)
        value = min(worth - cost, bound)
        gap = (bound - value) / max(abs(value), abs(bound), 1e-300)
        following = None
        if alternatives:
            options, regret = columns.runners_up(best.table, plan, count=alternatives, closed=None)
            following = Alternatives(options=options, regret=regret)
        return Result(
            status=Status.OPTIMAL if gap <= GAP_OPTIMAL else Status.FEASIBLE,
            choice=plan,
            value=value,
            bound=bound,
            gap=gap,
            rows=row_uses(self._problem, columns.measures, rows, best.prices, used),
            alternatives=following,
            passes=columns.passes,
            seconds=self._clock() - self._started,
            seed=self._seed,
        )

    def _cost(self, used: NDArray[np.int64]) -> float:
        """What the objective charges for *used*, from the exact sum."""
        columns = self._columns
        return sum(
            float(price) * int(used[k].sum()) for k, price in enumerate(columns.own_prices) if price
        )
