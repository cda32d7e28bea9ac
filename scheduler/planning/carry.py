"""The jobs that a plan leaves out: why, until when they wait, and which of them fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import Row
from scheduler.domain.policy import PlanObjective, PlanPolicy
from scheduler.optimise.result import RowUse
from scheduler.planning import reasons
from scheduler.planning.limits import REQUESTS, TOKENS, Fund, capacity_rows
from scheduler.planning.masks import ALLOWED, RULES
from scheduler.planning.problem import Case
from scheduler.planning.window import night_due
from scheduler.planning.worth import break_evens
from scheduler.store.windows import NO_DEADLINE

_BEYOND = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A job that the plan leaves out.

    Attributes:
        job: its number in the window.
        fails: it will get no answer; otherwise it waits until *not_before*.
        by_day: it is not for the night any more: its deadline comes first.
    """

    job: int
    reason: str
    fails: bool
    not_before: datetime
    by_day: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Want:
    """Why the solve left a job out.

    Attributes:
        passing: waiting alone may mend it,
        soon: and in so short a time that a job for the night is tried again while that lasts.
        tries: after so many deferrals the job fails; None where it waits on.
    """

    reason: str
    passing: bool
    soon: bool = False
    tries: int | None = None


def left_out(
    case: Case,
    choice: NDArray[np.int32],
    rows: Sequence[RowUse],
    *,
    policy: PlanPolicy,
    horizon_s: float,
    night: datetime,
) -> list[Left]:
    """The jobs without an option in *choice*, by their numbers; *night* is the next one."""
    deferred = np.flatnonzero(choice < 0)
    barred = case.allowed.rule[deferred] != ALLOWED
    held = ~barred & (False if case.held is None else case.held[deferred])
    wants = _wants(case, deferred[~barred & ~held], rows, policy=policy, horizon_s=horizon_s)
    wants |= dict.fromkeys(deferred[held].tolist(), _Want(reason=reasons.HELD, passing=True))
    found = []
    for job in deferred.tolist():
        if job in wants:
            found.append(_unchosen(case, job, wants[job], policy=policy, night=night))
        else:
            found.append(_barred(case, job, policy=policy, night=night))
    return found


def _unchosen(case: Case, job: int, want: _Want, *, policy: PlanPolicy, night: datetime) -> Left:
    """A job that the solve left out; it fails where it was put off as often as may help."""
    left = _wait(case, job, want, policy=policy, night=night)
    deferrals = int(case.window.deferrals[job])
    if want.tries is None or deferrals < want.tries:
        return left
    reason = reasons.given_up(want.reason, deferrals=deferrals)
    return Left(job=job, reason=reason, fails=True, not_before=case.now, by_day=left.by_day)


def _barred(case: Case, job: int, *, policy: PlanPolicy, night: datetime) -> Left:
    """A job that no option is allowed for: it fails when it is late, or was put off too often."""
    rule = RULES[int(case.allowed.rule[job])]
    deferrals = int(case.window.deferrals[job])
    want = _Want(reason=case.allowed.reasons[job], passing=rule.passing, soon=rule.passing)
    left = _wait(case, job, want, policy=policy, night=night)
    late = int(case.window.due_us[job]) <= case.now.timestamp() * 1e6
    if not late and deferrals < policy.deferrals_max:
        return left
    reason = want.reason if late else reasons.given_up(want.reason, deferrals=deferrals)
    return Left(job=job, reason=reason, fails=True, not_before=case.now, by_day=left.by_day)


def _wait(case: Case, job: int, want: _Want, *, policy: PlanPolicy, night: datetime) -> Left:
    due_us = int(case.window.due_us[job])
    due = None if due_us == NO_DEADLINE else datetime.fromtimestamp(due_us / 1e6, UTC)
    by_day = bool(case.window.night[job]) and due is not None and due < night
    at_night = bool(case.window.night[job]) and not by_day
    # All of a night's jobs may wait for one offer: those are tried less often than a day's.
    deferrals = 0 if want.passing and not at_night else int(case.window.deferrals[job])
    at = case.now + timedelta(seconds=wait_s(policy, deferrals))
    if at_night and not (want.soon and night_due(policy, at) == at):
        at = night
    if due is not None and case.now < due < at:
        # Looked at once more when it is late, so that its failure is not late too.
        at = due
    return Left(job=job, reason=want.reason, fails=False, not_before=at, by_day=by_day)


def wait_s(policy: PlanPolicy, deferrals: int) -> float:
    """How long a job waits that was already put off *deferrals* times."""
    return float(min(policy.deferral_s * 2.0 ** min(deferrals, 60), policy.deferral_max_s))


def _wants(
    case: Case,
    jobs: NDArray[np.int64],
    rows: Sequence[RowUse],
    *,
    policy: PlanPolicy,
    horizon_s: float,
) -> dict[int, _Want]:
    """What each of *jobs* would have needed; they have options, and the solve chose none."""
    if not len(jobs):
        return {}
    slack = {row.name: int(row.limit - row.use) for row in rows}
    eligible = case.allowed.eligible[jobs]
    open_ = eligible & ~_full(case, jobs, case.problem.rows, slack)
    cheapest = np.where(open_, case.estimates.reserved_nusd[jobs], _BEYOND).min(1)
    assert isinstance(case.problem.values, np.ndarray)
    worths = np.where(eligible, case.problem.values[jobs], -np.inf)
    worth = worths.max(1)
    in_usd = policy.objective is not PlanObjective.QUALITY
    unused = [
        row for row in capacity_rows(case.options, {}, horizon_s=horizon_s) if row.measure == TOKENS
    ]
    ever = eligible & ~_full(case, jobs, unused, {row.name: row.limit for row in unused})
    minutes = round(horizon_s / 60, 1)
    tight = [_tightest(case.funds, slack, group) for group in range(len(case.projects))]
    found = {}
    for at, job in enumerate(jobs.tolist()):
        fund = tight[int(case.groups[job])]
        if in_usd and worth[at] <= 0:
            reason = _loss(case, job, int(worths[at].argmax()), policy=policy)
            found[job] = _Want(reason=reason, passing=False, tries=policy.loss_deferrals_max)
        elif cheapest[at] == _BEYOND and not ever[at].any():
            needed = int(np.asarray(case.problem.measures[TOKENS])[job][eligible[at]].min())
            reason = reasons.too_long(needed=needed, minutes=minutes)
            found[job] = _Want(reason=reason, passing=False)
        elif cheapest[at] == _BEYOND:
            offers = len(set(case.options.offer_of[eligible[at]].tolist()))
            reason = reasons.no_capacity(offers=offers, minutes=minutes)
            found[job] = _Want(reason=reason, passing=True)
        elif fund is None:
            found[job] = _Want(reason=reasons.WORTHLESS, passing=False)
        else:
            found[job] = _money(fund, slack[fund.row.name], int(cheapest[at]))
    return found


def _loss(case: Case, job: int, option: int, *, policy: PlanPolicy) -> str:
    assert isinstance(case.problem.values, np.ndarray)
    best_usd = float(case.problem.values[job, option])
    if policy.objective is not PlanObjective.EARNINGS:
        return reasons.at_a_loss(best_usd=best_usd)
    even = break_evens(case.window, case.options, case.estimates, np.array([job]), policy=policy)
    return reasons.at_a_loss(
        best_usd=best_usd,
        sure_of=float(case.estimates.lower[job, option]),
        even=float(even[0, option]),
    )


def _money(fund: Fund, free_nusd: int, cheapest_nusd: int) -> _Want:
    if cheapest_nusd > free_nusd:
        reason = reasons.no_money(
            scope=fund.scope, period=fund.period, cheapest_nusd=cheapest_nusd, free_nusd=free_nusd
        )
    else:
        reason = reasons.outbid(scope=fund.scope, period=fund.period, free_nusd=free_nusd)
    return _Want(reason=reason, passing=False)


def _tightest(funds: Sequence[Fund], slack: dict[str, int], group: int) -> Fund | None:
    """Of the budgets that bear the group's jobs, the one with the least left."""
    mine = [fund for fund in funds if fund.row.groups is not None and group in fund.row.groups]
    return min(mine, key=lambda fund: slack[fund.row.name], default=None)


def _full(
    case: Case, jobs: NDArray[np.int64], rows: Sequence[Row], slack: dict[str, int]
) -> NDArray[np.bool_]:
    """(len(jobs), m) whether the option's offer has no room for the job in its *rows*' slack."""
    full = np.zeros((len(jobs), case.options.count), np.bool_)
    for row in rows:
        if row.measure not in (REQUESTS, TOKENS):
            continue
        assert row.options is not None
        for option in row.options:
            if row.measure == REQUESTS:
                needed = np.ones(len(jobs), np.int64)
            else:
                needed = np.asarray(case.problem.measures[TOKENS])[jobs, option]
            full[:, option] |= needed > slack[row.name]
    return full
