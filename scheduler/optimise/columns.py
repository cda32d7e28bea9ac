"""A problem's columns, made ready to be priced chunk by chunk on every core."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.money import NUSD_PER_USD
from scheduler.optimise import kernels
from scheduler.optimise.kernels import Amounts, Floats, Indices, Singles, Wholes
from scheduler.optimise.problem import (
    COST,
    QUALITY,
    REQUESTS,
    Factors,
    Objective,
    Problem,
    Tariff,
)
from scheduler.optimise.rows import EPS

CELLS_PER_CHUNK = 1 << 16
"""Jobs x options in one chunk: its scores are half a megabyte, and stay in a core's cache."""

COST_USD = 1.0 / NUSD_PER_USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What the jobs choose at given prices.

    Attributes:
        choice: (n,) int32, -1 where a job is deferred.
        regret: (n,) float32, the lead of each job's choice over its next best.
        total: the sum of the best scores, rounded up: never less than the true sum.
        stuck: how many jobs must be served and cannot be.
        used: (measures, groups, options) int64.
    """

    choice: Indices
    regret: Singles
    total: float
    stuck: int
    used: Wholes


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Some jobs, in full: what the sample and the unclear jobs are worked on as.

    Attributes:
        jobs: (s,) int64, which they are.
        scores: (s, m) float64 before prices; minus infinity where barred.
        amounts: (measures, s, m) int64.
        groups, deferral: (s,), as in the problem.
    """

    jobs: Wholes
    scores: Floats
    amounts: Wholes
    groups: Indices
    deferral: Floats


class _Workspace:
    """One thread's room for one chunk."""

    def __init__(self, jobs: int, options: int, measures: int) -> None:
        self.values = np.empty((jobs, options), np.float32)
        self.scores = np.empty((jobs, options))
        self.amounts = [np.empty((0, options), np.int64) for _ in range(measures)]
        self.weights = np.ones(jobs)
        self.offsets = np.zeros(jobs)
        self.deferral = np.zeros(jobs)

    def room(self, measure: int, jobs: int) -> Wholes:
        """Room for one measure's amounts; made when first asked for."""
        if len(self.amounts[measure]) < jobs:
            self.amounts[measure] = np.empty(self.scores.shape, np.int64)
        return self.amounts[measure][:jobs]


class Columns:
    """The columns of a `Problem`, and every pass that is made over them."""

    def __init__(self, problem: Problem, *, threads: int | None = None) -> None:
        self.problem = problem
        self.n, self.m = problem.jobs, problem.options
        self.groups = (
            np.zeros(self.n, np.int32)
            if problem.groups is None
            else np.ascontiguousarray(problem.groups, np.int32)
        )
        self.group_count = int(self.groups.max(initial=0)) + 1
        self.measures = measures_named(problem)
        self.own_prices = own_prices(problem, self.measures)
        self.weights, self.offsets = weights_and_offsets(problem)
        self._tariffs = {
            name: (
                given.rates.astype(np.float64),
                np.zeros(self.m) if given.base is None else given.base.astype(np.float64),
            )
            for name, given in problem.measures.items()
            if isinstance(given, Tariff)
        }
        self.most_value = most_value(problem)
        self.threads = threads or len(os.sched_getaffinity(0))
        self.chunk_jobs = max(1, min(self.n, CELLS_PER_CHUNK // max(self.m, 1)))
        self.passes = 0
        self._spare: list[_Workspace] = []
        self._pool: ThreadPoolExecutor | None = None

    def price(self, prices: Floats, *, closed: NDArray[np.bool_] | None = None) -> Priced:
        """What every job chooses at *prices* (measures, groups, options)."""
        self.passes += 1
        choice = np.empty(self.n, np.int32)
        regret = np.empty(self.n, np.float32)
        totals = np.zeros(self._chunk_count)
        sizes = np.zeros(self._chunk_count)
        stuck = np.zeros(self._chunk_count, np.int64)
        charged = [k for k in range(len(self.measures)) if prices[k].any()]

        def work(chunk: int, here: slice, room: _Workspace, used: Wholes) -> None:
            scores = self._scores(here, room, prices, charged, closed)
            jobs = len(scores)
            totals[chunk], sizes[chunk], stuck[chunk] = kernels.choose(
                scores, room.deferral[:jobs], choice[here], regret[here]
            )
            self._tally(here, room, choice[here], used, charged)

        used = self._run(work)
        return Priced(
            choice=choice,
            regret=regret,
            total=float(totals.sum()) + self.rounding(float(sizes.sum())),
            stuck=int(stuck.sum()),
            used=used,
        )

    def measure_up(self, choice: Indices) -> tuple[float, Wholes]:
        """What *choice* is worth before money is counted, and what it uses."""
        totals = np.zeros(self._chunk_count)
        none = np.zeros((len(self.measures), 1, 1))

        def work(chunk: int, here: slice, room: _Workspace, used: Wholes) -> None:
            scores = self._scores(here, room, none, [], None)
            totals[chunk] = kernels.worth(choice[here], scores, room.deferral[: len(scores)])
            self._tally(here, room, choice[here], used, [])

        used = self._run(work)
        return float(totals.sum()), used

    def runners_up(
        self, prices: Floats, choice: Indices, *, count: int, closed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int16], Singles]:
        """The *count* next best options of each job at *prices*, with their regret."""
        options = np.empty((self.n, count), np.int16)
        regret = np.empty((self.n, count), np.float32)
        charged = [k for k in range(len(self.measures)) if prices[k].any()]

        def work(_chunk: int, here: slice, room: _Workspace, _used: Wholes) -> None:
            scores = self._scores(here, room, prices, charged, closed)
            deferral = room.deferral[: len(scores)]
            kernels.runners_up(scores, deferral, choice[here], options[here], regret[here])

        self._run(work)
        return options, regret

    def values_of(self, choice: Indices) -> Singles:
        """(n,) the value of each job's choice; zero where it is deferred."""
        chosen = np.zeros(self.n, np.float32)

        def work(_chunk: int, here: slice, room: _Workspace, _used: Wholes) -> None:
            values = self._values(here, room)
            picked = np.take_along_axis(values, np.maximum(choice[here], 0)[:, None], axis=1)
            chosen[here] = np.where(choice[here] < 0, 0, picked[:, 0])

        self._run(work)
        return chosen

    def allows(self, option: int) -> NDArray[np.bool_]:
        """(n,) whether each job may have *option*."""
        allowed = np.zeros(self.n, np.bool_)
        none = np.zeros((len(self.measures), 1, 1))

        def work(_chunk: int, here: slice, room: _Workspace, _used: Wholes) -> None:
            scores = self._scores(here, room, none, [], None)
            allowed[here] = np.isfinite(scores[:, option])

        self._run(work)
        return allowed

    def gather(self, jobs: Wholes, *, closed: NDArray[np.bool_] | None = None) -> Subset:
        """The jobs numbered *jobs*, in full."""
        scores = np.empty((len(jobs), self.m))
        amounts = np.empty((len(self.measures), len(jobs), self.m), np.int64)
        deferral = np.empty(len(jobs))
        none = np.zeros((len(self.measures), 1, 1))
        with self._workspace() as room:
            for at in range(0, len(jobs), self.chunk_jobs):
                part = jobs[at : at + self.chunk_jobs]
                there = slice(at, at + len(part))
                scores[there] = self._scores(part, room, none, [], closed)
                deferral[there] = room.deferral[: len(part)]
                for k in range(len(self.measures)):
                    amounts[k, there] = self._amounts(k, part, room)
        return Subset(
            jobs=jobs, scores=scores, amounts=amounts, groups=self.groups[jobs], deferral=deferral
        )

    def rounding(self, size: float) -> float:
        """More than what rounding can have taken from a sum of best scores.

        `Rows.fold` has seen to the prices; what is left is the rounding of each value
        while it is charged, and that of adding up a chunk's scores and then the chunks'.
        """
        each = (len(self.measures) + 6) * self.n * self.most_value
        added = (self.chunk_jobs + self._chunk_count + 2) * size
        return EPS * (each + added)

    def charged(self, used: Wholes) -> float:
        """What the objective itself charges for *used*, from the exact sums."""
        return sum(
            float(price) * int(used[k].sum()) for k, price in enumerate(self.own_prices) if price
        )

    @property
    def _chunk_count(self) -> int:
        return -(-self.n // self.chunk_jobs)

    def _run(self, work: Callable[[int, slice, _Workspace, Wholes], None]) -> Wholes:
        """Do *work* on every chunk; what they used, summed.

        Sums of integers are the same in any order, and sums of floats are kept per chunk:
        so nothing depends on how many threads there are, or which of them is faster.
        """
        chunks = iter(range(self._chunk_count))
        threads = max(1, min(self.threads, self._chunk_count))

        def run(_thread: int) -> Wholes:
            used = np.zeros((len(self.measures), self.group_count, self.m), np.int64)
            with self._workspace() as room:
                for chunk in chunks:
                    at = chunk * self.chunk_jobs
                    work(chunk, slice(at, min(at + self.chunk_jobs, self.n)), room, used)
            return used

        if threads == 1:
            return run(0)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads)
        return sum(self._pool.map(run, range(threads)), start=np.zeros(1, np.int64))

    @contextmanager
    def _workspace(self) -> Iterator[_Workspace]:
        room = (
            self._spare.pop()
            if self._spare
            else _Workspace(self.chunk_jobs, self.m, len(self.measures))
        )
        yield room
        self._spare.append(room)

    def _scores(
        self,
        here: slice | Wholes,
        room: _Workspace,
        prices: Floats,
        charged: list[int],
        closed: NDArray[np.bool_] | None,
    ) -> Floats:
        """What each option of the jobs *here* is worth at *prices*, in the room's own array."""
        problem = self.problem
        values = self._values(here, room)
        groups = self.groups[here]
        scores = room.scores[: len(values)]
        for column, into in (
            (self.weights, room.weights),
            (self.offsets, room.offsets),
            (problem.deferral_values, room.deferral),
        ):
            if column is not None:
                into[: len(values)] = column[here]
        if charged:
            first = self._amounts(charged[0], here, room)
            table = prices[charged[0]]
            kernels.start_charged(values, room.weights, room.offsets, first, table, groups, scores)
        else:
            kernels.start(values, room.weights, room.offsets, scores)
        for k in charged[1:]:
            kernels.charge(self._amounts(k, here, room), prices[k], groups, scores)
        if problem.eligible is not None:
            kernels.bar_ineligible(problem.eligible[here], scores)
        if problem.pinned is not None:
            kernels.bar_unpinned(problem.pinned[here], scores)
        if problem.min_quality is not None:
            kernels.bar_poor(values, problem.min_quality[here], scores)
        if closed is not None:
            kernels.bar(closed, groups, scores)
        return scores

    def _values(self, here: slice | Wholes, room: _Workspace) -> Singles:
        given = self.problem.values
        if not isinstance(given, Factors):
            return given[here]
        features = given.features[here]
        values = room.values[: len(features)]
        kernels.multiply(features, given.heads, values)
        return values

    def _amounts(self, measure: int, here: slice | Wholes, room: _Workspace) -> Amounts:
        """One measure of the jobs *here*; computed into the room where it is not a column."""
        name = self.measures[measure]
        given = self.problem.measures.get(name)
        if isinstance(given, np.ndarray) and given.shape == (self.n, self.m):
            part: Amounts = given[here]
            return part
        jobs = len(self.groups[here])
        amounts = room.room(measure, jobs)
        if isinstance(given, Tariff):
            rates, base = self._tariffs[name]
            kernels.levy(given.counts[here], rates, base, float(given.divisor), amounts)
        elif given is not None:
            amounts[:] = given[here] if len(given) == self.n and self.n > 1 else given
        elif name == QUALITY:
            kernels.in_ppm(self._values(here, room), amounts)
        else:
            amounts[:] = 1
        return amounts

    def _tally(
        self,
        here: slice,
        room: _Workspace,
        choice: Indices,
        used: Wholes,
        loaded: list[int],
    ) -> None:
        """Add what *choice* uses of each measure; *loaded* ones are still in the room."""
        groups = self.groups[here]
        for k, name in enumerate(self.measures):
            if name == REQUESTS and name not in self.problem.measures:
                kernels.tally_ones(choice, groups, used[k])
                continue
            kept = k in loaded and len(room.amounts[k]) > 0
            amounts = room.amounts[k] if kept else self._amounts(k, here, room)
            kernels.tally(choice, amounts, groups, used[k])


def measures_named(problem: Problem) -> list[str]:
    """The measures that are added up: the rows' and the objective's, and money where given."""
    names = {row.measure for row in problem.rows}
    if COST in problem.measures or problem.objective is not Objective.VALUE:
        names.add(COST)
    names.add(REQUESTS)
    return sorted(names)


def own_prices(problem: Problem, measures: list[str]) -> Floats:
    """(measures,): what the objective itself charges for one unit of each measure."""
    prices = np.zeros(len(measures))
    if problem.objective is not Objective.VALUE:
        prices[measures.index(COST)] = COST_USD
    return prices


def weights_and_offsets(
    problem: Problem,
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """What a value is multiplied by, and what is added, for the problem's objective."""
    if problem.objective is Objective.COST:
        return np.zeros(problem.jobs, np.float32), None
    if problem.objective is Objective.EARNINGS:
        assert problem.gains is not None
        assert problem.losses is not None
        return problem.gains.astype(np.float64) + problem.losses, -problem.losses
    return problem.weights, None


def most_value(problem: Problem) -> float:
    """No option's worth is larger in size than this, before money is counted."""
    values = problem.values
    if isinstance(values, Factors):
        features, heads = values.features, values.heads
        sizes = np.maximum(features.max(axis=0, initial=0.0), -features.min(axis=0, initial=0.0))
        most = float(sizes @ np.abs(heads).max(axis=1, initial=0.0))
    else:
        most = float(max(values.max(initial=0.0), -values.min(initial=0.0)))
    weights, offsets = weights_and_offsets(problem)
    factor = 1.0 if weights is None else float(np.max(weights, initial=0.0))
    return most * factor + (0.0 if offsets is None else float(np.abs(offsets).max(initial=0.0)))
