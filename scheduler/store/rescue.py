"""Parcels whose worker is gone: what it left undone is made ready, or given up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from scheduler.domain.ledger import EntryKind
from scheduler.store.evidence import append
from scheduler.store.ledger import Entry, book

STREAM = "rescue"

LOST_FACTS = ("attempt", "job", "parcel", "offer", "price", "prompt", "reduction", "state")
"""What the evidence keeps of a call of which no worker will tell: all that is known of it."""

# The lease is over, and nobody renewed it.  What is locked at this moment is being reported on.
_EXPIRED = text("""
    SELECT id, attempt, attempt_limit, held_by FROM parcel
    WHERE state = 'running' AND lease_expires_at < now()
    ORDER BY lease_expires_at LIMIT :limit
    FOR UPDATE SKIP LOCKED
""")

# What was meant for a call that may have gone out stays with its job, as held.
_UNKNOWN = text("""
    WITH lost AS (
        UPDATE attempt
        SET state = 'unknown', finished_at = now(), error = 'lost: its worker did not report'
        WHERE parcel_id = ANY(CAST(:parcels AS bigint[])) AND state = 'started'
        RETURNING id, job_id, parcel_id, offer_id, price_id, prompt, reduction, state,
                  reserved_nusd
    ), sums AS (
        SELECT job_id, sum(reserved_nusd)::bigint AS held_nusd
        FROM lost GROUP BY job_id
    ), kept AS (
        UPDATE job SET held_nusd = job.held_nusd + sums.held_nusd
        FROM sums WHERE job.id = sums.job_id
    )
    SELECT id::text, job_id, parcel_id, offer_id, price_id, prompt, reduction, state
    FROM lost ORDER BY id
""")

_LOCK_JOBS = text("""
    SELECT id FROM job WHERE parcel_id = ANY(CAST(:parcels AS bigint[])) ORDER BY id FOR UPDATE
""")

_READY = text("""
    UPDATE parcel
    SET state = 'ready', held_by = NULL, lease_expires_at = NULL, ring_at = now()
    WHERE id = ANY(CAST(:parcels AS bigint[])) AND attempt < attempt_limit
""")

_DEAD = text("""
    UPDATE parcel SET state = 'dead', held_by = NULL, lease_expires_at = NULL
    WHERE id = ANY(CAST(:parcels AS bigint[])) AND attempt >= attempt_limit
    RETURNING id
""")

# A job that is given back has no plan's money; what is held for unknown calls stays.
_GIVE_BACK = text("""
    UPDATE job
    SET state = 'queued', parcel_id = NULL, reserved_nusd = job.held_nusd,
        deferrals = least(job.deferrals::int + 1, 32767),
        deferral_reason = 'its parcel was given up: every worker that had it died or lost it'
    FROM (
        SELECT id, parcel_id, plan_id, reserved_nusd - held_nusd AS free_nusd FROM job
        WHERE parcel_id = ANY(CAST(:parcels AS bigint[])) AND state = 'planned'
    ) AS before
    WHERE job.id = before.id
    RETURNING job.id, job.tenant_id, job.project_id, job.booked_on, before.parcel_id,
              before.plan_id, before.free_nusd
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescued:
    """What was found and done."""

    ready: int = 0
    dead: int = 0
    unknown_attempts: int = 0
    jobs_given_back: int = 0

    def __add__(self, other: "Rescued") -> "Rescued":
        return Rescued(
            ready=self.ready + other.ready,
            dead=self.dead + other.dead,
            unknown_attempts=self.unknown_attempts + other.unknown_attempts,
            jobs_given_back=self.jobs_given_back + other.jobs_given_back,
        )


def rescue_parcels(conn: Connection, *, limit: int) -> Rescued:
    """Take up to *limit* parcels from workers whose lease ran out.

    Their open attempts become unknown, with the money for them held.  A parcel is ready for
    another worker, or dead when it was leased as often as it may be; then its jobs go back to
    the queue.  The evidence says so.
    """
    expired = conn.execute(_EXPIRED, {"limit": limit}).all()
    if not expired:
        return Rescued()
    parcels = {"parcels": [row.id for row in expired]}
    conn.execute(_LOCK_JOBS, parcels)
    lost = conn.execute(_UNKNOWN, parcels).all()
    ready = conn.execute(_READY, parcels).rowcount
    dead = list(conn.execute(_DEAD, parcels).scalars())
    given_back = _give_back(conn, dead)
    _prove(conn, lost, given_back, workers={row.id: row.held_by for row in expired})
    return Rescued(
        ready=ready,
        dead=len(dead),
        unknown_attempts=len(lost),
        jobs_given_back=len(given_back),
    )


def _prove(
    conn: Connection,
    lost: Sequence[Any],
    given_back: Sequence[Any],
    *,
    workers: Mapping[int, str],
) -> None:
    """Chain a record per parcel with calls of which its worker did not tell, or that is dead.

    The jobs of a dead one are given back; nobody alive knows what was tried for them.
    """
    bodies: dict[int, dict[str, Any]] = {}

    def of(parcel_id: int) -> dict[str, Any]:
        begun = {"facts": LOST_FACTS, "calls": [], "worker": workers[parcel_id]}
        return bodies.setdefault(parcel_id, begun | {"parcel": parcel_id})

    for call in lost:
        of(call.parcel_id)["calls"].append(tuple(call))
    for job in given_back:
        of(job.parcel_id).setdefault("returned", []).append((job.id, []))
    if bodies:
        append(conn, stream=STREAM, kind="calls", bodies=list(bodies.values()))


def _give_back(conn: Connection, parcels: list[int]) -> Sequence[Any]:
    if not parcels:
        return ()
    given = conn.execute(_GIVE_BACK, {"parcels": parcels}).all()
    book(
        conn,
        [
            Entry(
                kind=EntryKind.RELEASE,
                amount_nusd=row.free_nusd,
                tenant_id=row.tenant_id,
                project_id=row.project_id,
                booked_on=row.booked_on,
                job_id=row.id,
                plan_id=row.plan_id,
            )
            for row in given
            if row.free_nusd
        ],
    )
    return given
