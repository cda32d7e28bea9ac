"""Attempts whose outcome is unknown: listed, and resolved once it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, Row, select, text, update

from scheduler.domain.errors import Broken, Refused
from scheduler.domain.ledger import EntryKind
from scheduler.domain.work import AttemptState
from scheduler.store.evidence import append
from scheduler.store.ledger import Entry, book, grant
from scheduler.store.tables.catalog import offer, provider
from scheduler.store.tables.jobs import job, result
from scheduler.store.tables.work import attempt

STREAM = "attempts"


class NotUnknown(Refused):
    """An attempt was to be resolved that is not, or no longer, unknown."""

    def __init__(self, attempt_id: UUID, state: str | None) -> None:
        super().__init__(
            f"attempt {attempt_id} is {state or 'not in this database'}, and only an unknown one "
            "can be resolved; `apportion attempts list` shows those"
        )
        self.attempt_id = attempt_id
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An attempt of which nobody knows whether, or at what price, it was billed."""

    id: UUID
    started_at: datetime
    job: str
    offer: str
    provider: str
    reserved_nusd: int
    request_id: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What became known of an unknown attempt: what it cost (0: it was not billed)."""

    attempt_id: UUID
    cost_nusd: int
    input_tokens: int | None = None
    output_tokens: int | None = None


def list_unknown(conn: Connection, *, limit: int = 1_000) -> list[Unknown]:
    """The unknown attempts, oldest first."""
    rows = conn.execute(
        select(
            attempt.c.id,
            attempt.c.started_at,
            job.c.key.label("job"),
            offer.c.name.label("offer"),
            provider.c.name.label("provider"),
            attempt.c.reserved_nusd,
            attempt.c.request_id,
            attempt.c.error,
        )
        .join(job, job.c.id == attempt.c.job_id)
        .join(offer, offer.c.id == attempt.c.offer_id)
        .join(provider, provider.c.id == offer.c.provider_id)
        .where(attempt.c.state == AttemptState.UNKNOWN)
        .order_by(attempt.c.started_at, attempt.c.id)
        .limit(limit)
    )
    return [Unknown(**row._asdict()) for row in rows]


def resolve(conn: Connection, resolution: Resolution, *, by: str) -> None:
    """Post what an unknown attempt cost, and give back the rest of what was held for it.

    What was billed beyond the hold is asked of the budgets; what they cannot bear is an
    overrun.  *by* says who knew: a person, or the worker that reported too late.

    Raises:
        NotUnknown: it is settled already, or was never made.
    """
    _settle(conn, resolution)
    append(
        conn,
        stream=STREAM,
        kind="resolution",
        bodies=[
            {
                "attempt": str(resolution.attempt_id),
                "by": by,
                "cost_nusd": resolution.cost_nusd,
                "input_tokens": resolution.input_tokens,
                "output_tokens": resolution.output_tokens,
            }
        ],
    )


def resolve_late(conn: Connection, resolutions: Sequence[Resolution], *, by: str) -> int:
    """Resolve those of *resolutions* that are still unknown; how many were."""
    resolved = 0
    for one in sorted(resolutions, key=lambda resolution: resolution.attempt_id):
        try:
            resolve(conn, one, by=by)
        except NotUnknown:
            continue
        resolved += 1
    return resolved


def _settle(conn: Connection, resolution: Resolution) -> None:
    found = _lock(conn, resolution.attempt_id)
    used = conn.execute(
        select(result.c.job_id).where(
            result.c.job_id == found.job_id, result.c.attempt_id == resolution.attempt_id
        )
    ).first()
    _give_up_hold(conn, found, spent_nusd=resolution.cost_nusd)
    conn.execute(
        update(attempt)
        .where(attempt.c.id == found.id, attempt.c.started_at == found.started_at)
        .values(
            state=AttemptState.SUCCEEDED if used else AttemptState.FAILED,
            cost_nusd=resolution.cost_nusd,
            input_tokens=resolution.input_tokens,
            output_tokens=resolution.output_tokens,
        )
    )
    kind = EntryKind.POSTING if used else EntryKind.WASTE
    _book(conn, found, cost_nusd=resolution.cost_nusd, kind=kind)


# The job before its attempt, as everywhere; a settled attempt is told by its state.
_JOB = text("SELECT id FROM job WHERE id = :id FOR UPDATE")
_ATTEMPT = text("""
    SELECT attempt.id, started_at, attempt.job_id, attempt.offer_id, attempt.reserved_nusd,
           attempt.booked_on, job.tenant_id, job.project_id, job.plan_id
    FROM attempt JOIN job ON job.id = attempt.job_id
    WHERE attempt.id = :id AND attempt.state = 'unknown'
    FOR UPDATE OF attempt
""")


def _lock(conn: Connection, attempt_id: UUID) -> Row[tuple[object, ...]]:
    known = conn.execute(
        select(attempt.c.job_id, attempt.c.state).where(attempt.c.id == attempt_id)
    ).one_or_none()
    if known is None:
        raise NotUnknown(attempt_id, None)
    conn.execute(_JOB, {"id": known.job_id})
    found = conn.execute(_ATTEMPT, {"id": attempt_id}).one_or_none()
    if found is None:
        raise NotUnknown(attempt_id, known.state)
    return found


def _give_up_hold(conn: Connection, found: Row[tuple[object, ...]], *, spent_nusd: int) -> None:
    given_up = conn.execute(
        update(job)
        .where(job.c.id == found.job_id, job.c.held_nusd >= found.reserved_nusd)
        .values(
            reserved_nusd=job.c.reserved_nusd - found.reserved_nusd,
            held_nusd=job.c.held_nusd - found.reserved_nusd,
            spent_nusd=job.c.spent_nusd + spent_nusd,
        )
    )
    if given_up.rowcount != 1:
        raise Broken(f"job {found.job_id} holds less than its unknown attempt {found.id}")


def _book(
    conn: Connection, found: Row[tuple[object, ...]], *, cost_nusd: int, kind: EntryKind
) -> None:
    held_nusd, day = found.reserved_nusd, found.booked_on
    assert isinstance(held_nusd, int)
    assert isinstance(day, date)
    short_nusd = max(0, cost_nusd - held_nusd)
    granted = short_nusd > 0 and grant(conn, [(found.project_id, day, short_nusd)]) == [True]
    amounts = {
        EntryKind.RESERVATION: short_nusd if granted else 0,
        kind: cost_nusd if granted else cost_nusd - short_nusd,
        EntryKind.OVERRUN: 0 if granted else short_nusd,
        EntryKind.RELEASE: max(0, held_nusd - cost_nusd),
    }
    book(
        conn,
        [
            Entry(
                kind=entry,
                amount_nusd=amount_nusd,
                tenant_id=found.tenant_id,
                project_id=found.project_id,
                booked_on=day,
                job_id=found.job_id,
                plan_id=found.plan_id,
                attempt_id=found.id,
                offer_id=found.offer_id,
            )
            for entry, amount_nusd in amounts.items()
            if amount_nusd
        ],
    )
