"""One search: prices, a plan that keeps every row, and then whatever closes the gap."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import Row
from scheduler.optimise import core as cores
from scheduler.optimise.columns import Columns
from scheduler.optimise.complete import complete
from scheduler.optimise.dual import Dual, Point, descend
from scheduler.optimise.exact import VARIABLES_MOST, settle_exactly
from scheduler.optimise.kernels import Floats, Indices, Wholes
from scheduler.optimise.refine import refine
from scheduler.optimise.rows import EPS, Rows
from scheduler.optimise.unclear import Unclear, cheap_moves, unclear_jobs

ENOUGH, ENOUGH_IN_FEW = 5e-6, 1e-9
"""A gap that is not worth a linear program, for many jobs and for few."""

FEW_JOBS = 5000

ROUNDS = 3
UNCLEAR_MOST = 20_000
EXACT_S = 2.0
"""What CP-SAT may take, in its own deterministic seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a search goes.

    Attributes:
        gap: a plan this good (relative) is not improved by CP-SAT.
        left_s: how many seconds are left, by the clock.
    """

    gap: float
    left_s: Callable[[], float]

    def timely(self) -> bool:
        """Whether there is time left."""
        return self.left_s() > 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search ends with.

    Attributes:
        plan: (n,) int32, or None.
        value: what it is worth; minus infinity where there is none.
        bound: no plan is worth more; minus infinity where there can be none.
        point: the best prices.
        used: (measures, groups, options) by the plan.
        rounding: a difference between value and bound that is nothing but rounding.
    """

    rows: Rows
    plan: Indices | None
    value: float
    bound: float
    point: Point
    used: Wholes
    rounding: float

    @property
    def gap(self) -> float:
        """How much better a plan could be, relative to the larger of value and bound."""
        return relative_gap(self.value, self.bound, self.rounding)


def relative_gap(value: float, bound: float, rounding: float) -> float:
    """`bound - value` relative to the larger; zero where it is no more than *rounding*."""
    if value == -np.inf:
        return np.inf
    missing = bound - value
    return missing / max(abs(value), abs(bound)) if missing > rounding else 0.0


class Search:
    """The search for one set of rows, with some options closed."""

    def __init__(
        self,
        columns: Columns,
        rows: tuple[Row, ...],
        *,
        closed: NDArray[np.bool_] | None,
        limits: Limits,
        seed: int,
    ) -> None:
        own = np.zeros((len(columns.measures), columns.group_count, columns.m))
        own += columns.own_prices[:, None, None]
        self.columns = columns
        self.dual = Dual(
            columns=columns,
            rows=Rows.of(
                rows, measures=columns.measures, groups=columns.group_count, options=columns.m
            ),
            own=own - np.abs(own) * 4 * EPS,
            closed=closed,
        )
        self.limits = limits
        self.seed = seed
        self._enough = ENOUGH if columns.n > FEW_JOBS else ENOUGH_IN_FEW
        self._plan: Indices | None = None
        self._value = -np.inf
        self._used = np.zeros((len(columns.measures), columns.group_count, columns.m), np.int64)

    def run(self, start: Floats | None = None) -> Found:
        """The best plan found, and the bound; from prices *start*, where some are known."""
        dual, rows = self.dual, self.dual.rows
        free = dual.at(np.zeros(rows.count))
        if free.priced.stuck:
            return self._found(free, -np.inf)
        scales = dual.scales(free)
        best = free
        if free.slack.min(initial=0.0) < 0:
            rng = np.random.default_rng(self.seed)
            timely = self.limits.timely
            best = descend(dual, free, scales=scales, rng=rng, timely=timely, start=start)
        self._complete(best, scales, count=self._unclear_jobs())
        bound = best.bound
        if self._gap(bound) > self._enough:
            best, rounded = refine(
                dual, best, scales=scales, enough=self._enough / 10, timely=self.limits.timely
            )
            self._complete(best, scales, count=4 * self._unclear_jobs(), choice=rounded)
            bound = self._search_core(best, min(bound, best.bound), scales)
        if self._gap(bound) > self.limits.gap and self.limits.timely():
            bound = self._settle_exactly(best, bound, scales)
        return self._found(best, bound)

    def _unclear_jobs(self) -> int:
        """How many jobs to look at first: some for every row, and some for every group."""
        wanted = 256 + 4 * self.dual.rows.count + 16 * self.columns.group_count
        return min(wanted, UNCLEAR_MOST)

    def _gap(self, bound: float) -> float:
        return relative_gap(self._value, bound, self._rounding(bound))

    def _rounding(self, bound: float) -> float:
        return 4 * self.columns.rounding(abs(bound))

    def _offer(self, plan: Indices) -> None:
        """Take *plan* if it is better than the one in hand; it must keep every row."""
        worth, used = self.columns.measure_up(plan)
        assert max(self.dual.rows.excess(used), default=0) <= 0, "a plan breaks a row"
        value = worth - self.columns.charged(used)
        if value > self._value:
            self._plan, self._value, self._used = plan, value, used

    def _complete(
        self, point: Point, scales: Floats, *, count: int, choice: Indices | None = None
    ) -> None:
        """Offer a plan near what the prices choose, or near *choice*."""
        used = None if choice is None else self.columns.measure_up(choice)[1]

        def unclear_at(wanted: int) -> Unclear:
            return unclear_jobs(
                self.dual, point, scales=scales, count=wanted, choice=choice, used=used
            )

        start = point.priced.choice if choice is None else choice
        plan = complete(unclear_at, choice=start, count=count)
        if plan is not None:
            self._offer(plan)

    def _search_core(self, point: Point, bound: float, scales: Floats) -> float:
        """Try combinations of the cheapest moves; the bound, lower where all were tried."""
        for _ in range(ROUNDS):
            missing = point.bound - self._value
            if self._gap(bound) <= self._enough or not self.limits.timely():
                break
            core = cores.core_of(
                self.dual, point, scales=scales, gap=missing, most=cores.MOVES_MOST
            )
            # What is found must be better than the plan in hand, and by more than rounding.
            better = missing - self.columns.rounding(abs(point.bound))
            chosen, through = cores.search(core, gap=better)
            if chosen is not None:
                self._offer(core.unclear.plan(point.priced.choice, chosen))
            if through and core.complete:
                return self._proven(bound)
            if chosen is None:
                break
        return bound

    def _proven(self, bound: float) -> float:
        """The bound once no plan is better than the one in hand, but for rounding."""
        return min(bound, self._value + self.columns.rounding(abs(self._value)))

    def _settle_exactly(self, point: Point, bound: float, scales: Floats) -> float:
        missing = point.bound - self._value
        if self.columns.n > FEW_JOBS and np.count_nonzero(point.priced.regret < missing) > (
            FEW_JOBS
        ):
            return bound
        unclear = unclear_jobs(self.dual, point, scales=scales, count=self.columns.n)
        job, option, losses = cheap_moves(unclear, VARIABLES_MOST + 1)
        inside = losses < missing
        answer = settle_exactly(
            unclear,
            job[inside],
            option[inside],
            losses[inside],
            slack=point.slack,
            prices=point.prices,
            seed=self.seed,
            time_limit_s=min(EXACT_S, self.limits.left_s()),
        )
        if answer is None:
            return bound
        if answer.hopeless:
            return -np.inf if self._plan is None else self._proven(bound)
        if answer.chosen is not None:
            self._offer(unclear.plan(point.priced.choice, answer.chosen))
        lowest = point.bound - answer.least_loss + self.columns.rounding(abs(point.bound))
        # Moves that were left out lose more than the gap: plans with them are no better.
        return min(bound, max(lowest, self._value + self.columns.rounding(abs(self._value))))

    def _found(self, point: Point, bound: float) -> Found:
        return Found(
            rows=self.dual.rows,
            plan=self._plan,
            value=min(self._value, bound) if self._plan is not None else -np.inf,
            bound=bound,
            point=point,
            used=self._used,
            rounding=self._rounding(bound) if np.isfinite(bound) else 0.0,
        )
