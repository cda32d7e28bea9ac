"""Attempts whose outcome is unknown: listed, and resolved once it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, select, text, update

from scheduler.domain.errors import Broken, Refused
from scheduler.domain.ledger import EntryKind
from scheduler.domain.work import AttemptState
from scheduler.store.evidence import append
from scheduler.store.ledger import Entry, book, grant
from scheduler.store.settlement import lock_jobs
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
    if not resolve_late(conn, [resolution], by=by):
        state = conn.execute(
            select(attempt.c.state).where(attempt.c.id == resolution.attempt_id)
        ).scalar_one_or_none()
        raise NotUnknown(resolution.attempt_id, state)


def resolve_late(conn: Connection, resolutions: Sequence[Resolution], *, by: str) -> int:
    """Resolve those of *resolutions* that are still unknown; how many were.

    Locks are taken as in a flush: all jobs, then all budgets, then the evidence's head.  The jobs
    are another worker's by now, whose flush may hold one of them and wait for a budget.
    """
    known = {one.attempt_id: one for one in resolutions}
    found = _lock(conn, list(known))
    bills = [_settle(conn, row, known[row.id]) for row in found]
    _book(conn, bills)
    bodies = [
        {
            "attempt": str(row.id),
            "by": by,
            "cost_nusd": known[row.id].cost_nusd,
            "input_tokens": known[row.id].input_tokens,
            "output_tokens": known[row.id].output_tokens,
        }
        for row in found
    ]
    if bodies:
        append(conn, stream=STREAM, kind="resolution", bodies=bodies)
    return len(found)


class _Bill(NamedTuple):
    """What one attempt turned out to have cost, and what it is to be posted as."""

    attempt: Row[*tuple[Any, ...]]
    kind: EntryKind
    cost_nusd: int

    @property
    def short_nusd(self) -> int:
        """How much of it was not held."""
        held_nusd: int = self.attempt.reserved_nusd
        return max(0, self.cost_nusd - held_nusd)


def entry_of(attempt: Row[*tuple[Any, ...]], kind: EntryKind, amount_nusd: int) -> Entry:
    """An entry for a call, of whose row the job's tenant, project and plan are a part."""
    return Entry(
        kind=kind,
        amount_nusd=amount_nusd,
        tenant_id=attempt.tenant_id,
        project_id=attempt.project_id,
        booked_on=attempt.booked_on,
        job_id=attempt.job_id,
        plan_id=attempt.plan_id,
        attempt_id=attempt.id,
        offer_id=attempt.offer_id,
    )


def _settle(conn: Connection, found: Row[*tuple[Any, ...]], resolution: Resolution) -> _Bill:
    used = conn.execute(
        select(result.c.job_id).where(
            result.c.job_id == found.job_id, result.c.attempt_id == found.id
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
    return _Bill(attempt=found, kind=kind, cost_nusd=resolution.cost_nusd)


# The job before its attempt, as everywhere; a settled attempt is told by its state.
_ATTEMPTS = text("""
    SELECT attempt.id, started_at, attempt.job_id, attempt.offer_id, attempt.reserved_nusd,
           attempt.booked_on, job.tenant_id, job.project_id, job.plan_id
    FROM attempt JOIN job ON job.id = attempt.job_id
    WHERE attempt.id = ANY(CAST(:ids AS uuid[])) AND attempt.state = 'unknown'
    ORDER BY attempt.id
    FOR UPDATE OF attempt
""")


def _lock(conn: Connection, attempt_ids: list[UUID]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Those of *attempt_ids* that are unknown, with their jobs' facts; they and the jobs locked."""
    job_ids = conn.execute(
        select(attempt.c.job_id).where(attempt.c.id.in_(attempt_ids)).distinct()
    ).scalars()
    lock_jobs(conn, list(job_ids))
    return conn.execute(_ATTEMPTS, {"ids": attempt_ids}).all()


def _give_up_hold(conn: Connection, found: Row[*tuple[Any, ...]], *, spent_nusd: int) -> None:
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


def _book(conn: Connection, bills: Sequence[_Bill]) -> None:
    entries = []
    for bill in bills:
        held_nusd = bill.attempt.reserved_nusd
        if paid_nusd := bill.cost_nusd - bill.short_nusd:
            entries.append(entry_of(bill.attempt, bill.kind, paid_nusd))
        if left_nusd := max(0, held_nusd - bill.cost_nusd):
            entries.append(entry_of(bill.attempt, EntryKind.RELEASE, left_nusd))
    shorts = [(bill.attempt, bill.kind, bill.short_nusd) for bill in bills if bill.short_nusd]
    book_with_shorts(conn, entries, shorts)


def book_with_shorts(
    conn: Connection,
    entries: Sequence[Entry],
    shorts: Sequence[tuple[Row[*tuple[Any, ...]], EntryKind, int]],
) -> None:
    """Write *entries*, and what calls cost beyond them: *shorts* (call, kind, nUSD above zero).

    Those are asked of the budgets, which have what *entries* give back; what they cannot bear is
    an overrun.
    """
    answers = grant(
        conn,
        [(row.project_id, row.booked_on, short_nusd) for row, _, short_nusd in shorts],
        booking=entries,
    )
    paid = [
        entry_of(row, one, short_nusd)
        for (row, kind, short_nusd), is_granted in zip(shorts, answers, strict=True)
        for one in ((EntryKind.RESERVATION, kind) if is_granted else (EntryKind.OVERRUN,))
    ]
    book(conn, [*entries, *paid])
