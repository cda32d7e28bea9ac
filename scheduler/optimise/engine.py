"""The solve, from columns to an answer."""

from collections.abc import Callable

import numpy as np

from scheduler.optimise.batches import branch
from scheduler.optimise.checking import check
from scheduler.optimise.columns import Columns
from scheduler.optimise.infeasible import explain
from scheduler.optimise.problem import Problem
from scheduler.optimise.report import row_uses
from scheduler.optimise.result import Alternatives, Relaxation, Result, Status
from scheduler.optimise.search import Found, Limits

GAP_OPTIMAL = 1e-9
"""Below this a gap is rounding: the plan is as good as any."""


def run(
    problem: Problem,
    *,
    seed: int,
    time_limit_s: float,
    gap: float,
    alternatives: int,
    threads: int | None,
    clock: Callable[[], float],
) -> Result:
    """See `scheduler.optimise.solve.solve`."""
    started = clock()
    check(problem)
    columns = Columns(problem, threads=threads)
    limits = Limits(gap=gap, left_s=lambda: started + time_limit_s - clock())
    found, closed = branch(columns, problem.rows, limits=limits, seed=seed)
    following = None
    if alternatives and found.plan is not None:
        options, regret = columns.runners_up(
            found.point.table, found.plan, count=alternatives, closed=closed
        )
        following = Alternatives(options=options, regret=regret)
    conflict: tuple[Relaxation, ...] = ()
    if found.plan is None:
        conflict = explain(columns, proven=found.bound == -np.inf, limits=limits)
    plan = np.full(columns.n, -1, np.int32) if found.plan is None else found.plan
    return Result(
        status=_status(found, infeasible=bool(conflict)),
        choice=plan,
        value=found.value,
        bound=found.bound,
        gap=found.gap,
        rows=row_uses(problem, columns.measures, found.rows, found.point.prices, found.used),
        alternatives=following,
        conflict=conflict,
        passes=columns.passes,
        seconds=clock() - started,
        seed=seed,
    )


def _status(found: Found, *, infeasible: bool) -> Status:
    if found.plan is None:
        proven = infeasible or found.bound == -np.inf
        return Status.INFEASIBLE if proven else Status.UNKNOWN
    return Status.OPTIMAL if found.gap <= GAP_OPTIMAL else Status.FEASIBLE
