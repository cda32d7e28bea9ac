"""`scheduler.domain.plan.violations` for millions of jobs: the same rules, in whole columns."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import DEFERRED, PPM, Row, RowKind, Violation
from scheduler.optimise.problem import Problem

if TYPE_CHECKING:
    from scheduler.optimise.columns import Columns


def violations_in_columns(problem: Problem, plan: NDArray[np.int32]) -> tuple[Violation, ...]:
    """Every rule that *plan* (n,) breaks, from exact sums of 64-bit integers.

    Equal to what `violations` finds one job at a time, which a test holds it to; every
    option must be one that exists.
    """
    # Compiled code takes a while to load, and processes that never plan import this, too.
    from scheduler.optimise.columns import Columns
    from scheduler.optimise.rows import sums

    columns = Columns(problem)
    choice = np.ascontiguousarray(plan, np.int32)
    barred = np.flatnonzero(~_allowed(columns, choice))
    _, used = columns.measure_up(choice)
    found = [Violation(rule=f"job {job}", excess=1) for job in barred.tolist()]
    for row in problem.rows:
        part, whole, jobs = sums(row, columns.measures, used)
        over = _excess(row, part=part, whole=whole, jobs=jobs)
        if over > 0:
            found.append(Violation(rule=row.name, excess=over))
    return tuple(found)


def _allowed(columns: "Columns", choice: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(n,) whether each job may have what it has."""
    problem = columns.problem
    served = np.flatnonzero(choice != DEFERRED)
    allowed = np.ones(columns.n, np.bool_)
    if problem.deferral_values is not None:
        waits = choice == DEFERRED
        allowed[waits] = np.isfinite(problem.deferral_values[waits])
    if problem.eligible is not None:
        allowed[served] &= problem.eligible[served, choice[served]]
    if problem.pinned is not None:
        pinned = problem.pinned[served]
        allowed[served] &= (pinned < 0) | (pinned == choice[served])
    if problem.min_quality is not None:
        values = columns.values_of(choice)
        allowed[served] &= values[served] >= problem.min_quality[served]
    return allowed


def _excess(row: Row, *, part: int, whole: int, jobs: int) -> int:
    """By how much *row* is broken, as the domain counts it."""
    match row.kind:
        case RowKind.MOST:
            return part - row.limit
        case RowKind.LEAST:
            return row.limit - part
        case RowKind.SHARE_MOST:
            return PPM * part - row.limit * whole
        case RowKind.SHARE_LEAST:
            return row.limit * whole - PPM * part
        case RowKind.MEAN_LEAST:
            return row.limit * jobs - part
        case RowKind.MEAN_MOST:
            return part - row.limit * jobs
        case RowKind.ALL_OR_NOTHING:
            return row.limit - part if part > 0 else 0
