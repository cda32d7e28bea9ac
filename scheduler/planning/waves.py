"""A run in waves: money that is set aside and not needed comes back, and is planned again.

What is set aside for a call covers nearly the longest answer, so most of it is not spent.  A plan
that commits all jobs at once can count on the reserved money alone, and ends with a part of
the budget unused.  Here the whole window is planned for what it is *expected* to cost, and
only its first jobs are committed, on money that covers them at the full quantile; the rest
is planned anew when they are settled, with all that came back.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import DEFERRED, Row
from scheduler.domain.policy import PlanPolicy
from scheduler.optimise.result import Result
from scheduler.optimise.solve import solve
from scheduler.planning.estimates import expected_cost_nusd
from scheduler.planning.limits import COST
from scheduler.planning.options import PPM
from scheduler.planning.problem import Case

EXPECTED = "expected_nusd"
"""The measure of a call's expected cost, beside `COST`, which is what is set aside for it."""

_SPREAD = 2_654_435_761
"""Knuth's multiplier: jobs of one deadline go into waves in no order that means anything."""


def in_waves(
    case: Case, plain: Result, *, policy: PlanPolicy, horizon_s: float
) -> tuple[Case, Result]:
    """*case* and its plan with the later jobs held back, or unchanged where that is no help.

    It is none where money does not hold the *plain* plan back, where few jobs are left, and
    where all are due soon.  Jobs whose deadline comes within *horizon_s* are not held back.
    """
    servable: NDArray[np.bool_] = np.any(case.allowed.eligible, axis=1)
    if servable.sum() < policy.wave_jobs_min or not _is_short_of_money(case, plain):
        return case, plain
    held = _later(case, servable, policy=policy, horizon_s=horizon_s)
    if not held.any():
        return case, plain
    reserved = np.where(held[:, None], 0, case.estimates.reserved_nusd)
    problem = replace(
        case.problem,
        measures={
            **case.problem.measures,
            COST: reserved,
            EXPECTED: expected_cost_nusd(case.options, case.estimates),
        },
        rows=(*case.problem.rows, *(_expected_row(fund.row) for fund in case.funds)),
    )
    solved = solve(problem, seed=policy.seed, time_limit_s=policy.solve_s)
    if not solved.has_plan:
        return case, plain
    return replace(case, problem=problem, held=held), solved


def committed(case: Case, choice: NDArray[np.int32]) -> NDArray[np.int32]:
    """*choice* (n,) without the jobs that are held back."""
    if case.held is None:
        return choice
    return np.where(case.held, np.int32(DEFERRED), choice)


def _is_short_of_money(case: Case, plain: Result) -> bool:
    budgets = {fund.row.name for fund in case.funds}
    return any(row.price > 0 for row in plain.rows if row.name in budgets)


def _later(
    case: Case, servable: NDArray[np.bool_], *, policy: PlanPolicy, horizon_s: float
) -> NDArray[np.bool_]:
    """(n,) which jobs are planned, and not committed yet: those that are due last."""
    due_us = case.window.due_us
    soon_us = int((case.now.timestamp() + horizon_s) * 1e6)
    order = np.lexsort((case.window.job_id.astype(np.uint64) * _SPREAD % 2**32, due_us))
    order = order[servable[order]]
    first = -(-len(order) * policy.wave_ppm // PPM)
    held = np.zeros(len(due_us), np.bool_)
    held[order[first:]] = True
    held[due_us <= soon_us] = False
    return held


def _expected_row(row: Row) -> Row:
    return replace(row, name=f"{row.name}, expected", measure=EXPECTED)
