"""Which jobs are planned together, and when."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from scheduler.domain.job import When
from scheduler.domain.policy import PlanPolicy
from scheduler.planning.night import last_night
from scheduler.store.windows import due_jobs

EVER = datetime(9999, 1, 1, tzinfo=UTC)


class WindowKind(StrEnum):
    """`continuous`: jobs for now, a few seconds' worth.  `night`: all that waited for the night.

    `asked`: whatever is queued, deferred or not, because a person asked.
    """

    CONTINUOUS = "continuous"
    NIGHT = "night"
    ASKED = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which jobs a window takes.

    Attributes:
        before: for each kind of job, since when it must have been allowed to be planned.
        jobs_max: at most so many.
        within_room: no more than the offers have room for, either; what is beyond that stays in
            the queue, and is not put off in the books over and over.
        horizon_s: how long an offer's rate limits may be filled for.
    """

    before: dict[When, datetime]
    jobs_max: int
    within_room: bool
    horizon_s: float


def span(kind: WindowKind, policy: PlanPolicy, now: datetime) -> Span:
    """The jobs of a window of that kind, closed at *now*."""
    continuous = kind is WindowKind.CONTINUOUS
    before = {
        WindowKind.CONTINUOUS: {When.NOW: now},
        WindowKind.NIGHT: {When.NIGHT: night_due(policy, now)},
        WindowKind.ASKED: {When.NOW: EVER, When.NIGHT: EVER},
    }
    return Span(
        before=before[kind],
        jobs_max=policy.window_jobs if continuous else policy.night_jobs_max,
        within_room=continuous,
        horizon_s=policy.horizon_s if continuous else policy.night_s,
    )


def night_due(policy: PlanPolicy, now: datetime) -> datetime:
    """Since when a job for the night must have been allowed to be planned, to be due at *now*.

    By day it must have come before the last night began: so a planner that was down then makes
    up for it.  While a night lasts, jobs that come, or that workers give back, join it.  A job
    that is carried over is not allowed before the next night, and so waits for that.
    """
    began = last_night(policy, now)
    return now if now < began + timedelta(seconds=policy.night_s) else began


def closed_window(
    conn: Connection, *, policy: PlanPolicy, now: datetime, room: int
) -> WindowKind | None:
    """The window that is to be planned at *now*, if one is.

    While the offers have no *room* (requests), a window stays open as long as a deferral
    lasts: planning jobs only to put them off would fill the books with nothing.
    """
    for kind, when in ((WindowKind.NIGHT, When.NIGHT), (WindowKind.CONTINUOUS, When.NOW)):
        [before] = span(kind, policy, now).before.values()
        due = due_jobs(conn, when=when, before=before, limit=policy.window_jobs)
        if due.oldest is None:
            continue
        patience_s = policy.window_s if room > 0 else policy.deferral_s
        is_full = due.jobs >= policy.window_jobs and room > 0
        if is_full or due.oldest <= now - timedelta(seconds=patience_s):
            return kind
    return None
