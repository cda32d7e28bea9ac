"""Parcels in Postgres: leased to workers, renewed, finished or handed back under that lease."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, TextClause, select, text

from scheduler.domain.work import Lease, ParcelState
from scheduler.store.tables.catalog import provider
from scheduler.store.tables.work import parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A parcel as its worker got it; *lease* is what every later report must show."""

    lease: Lease
    plan_id: int
    offer_id: int


# The CTE is needed: Postgres may run a locking subquery inside IN (...) more than once, and
# would then lease more than the limit.  A parcel whose leases are used up is rescue's to bury.
_LEASE = text("""
    WITH ready AS (
        SELECT id FROM parcel
        WHERE provider_id = :provider_id AND state = 'ready' AND not_before <= now()
          AND attempt < attempt_limit AND offer_id <> ALL(CAST(:but AS int[]))
        ORDER BY due_at, id
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE parcel
    SET state = 'running', attempt = attempt + 1, held_by = :worker,
        lease_expires_at = now() + :lease
    FROM ready WHERE parcel.id = ready.id
    RETURNING parcel.id, parcel.attempt, parcel.plan_id, parcel.offer_id
""")


_HELD_BY = text("""
    SELECT id, attempt, plan_id, offer_id FROM parcel
    WHERE state = 'running' AND held_by = :worker AND provider_id = :provider_id
""")


def waiting(conn: Connection, *, parcel_id: int, attempt: int) -> str | None:
    """Name of the provider whose parcel this is, if it still waits for its lease *attempt* + 1.

    None once anyone has taken it: the bell that named it has nothing left to do.
    """
    return conn.execute(
        select(provider.c.name)
        .join(parcel, parcel.c.provider_id == provider.c.id)
        .where(
            parcel.c.id == parcel_id,
            parcel.c.attempt == attempt,
            parcel.c.state == ParcelState.READY,
        )
    ).scalar_one_or_none()


def lease_parcels(
    conn: Connection,
    *,
    provider_id: int,
    worker: str,
    limit: int,
    lease: timedelta,
    but: Collection[int] = (),
) -> list[Leased]:
    """Lease up to *limit* ready parcels of that provider to *worker*, the soonest due first.

    None of the offers *but*, of which it may make no call.
    Two workers never get the same parcel: rows that another claim has locked are
    skipped, not waited for.  The caller owns the transaction; until it commits, no
    one else can see or take these parcels.
    """
    leased = conn.execute(
        _LEASE,
        {
            "provider_id": provider_id,
            "worker": worker,
            "limit": limit,
            "lease": lease,
            "but": list(but),
        },
    )
    return _in_order(leased)


def held_parcels(
    conn: Connection, *, provider_id: int, worker: str, but: Collection[Lease]
) -> list[Leased]:
    """The parcels of that provider that *worker* has, the leases *but* left out.

    So a worker finds out what became of a lease whose commit was never confirmed.
    """
    held = conn.execute(_HELD_BY, {"provider_id": provider_id, "worker": worker})
    return [one for one in _in_order(held) if one.lease not in but]


def _in_order(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[Leased]:
    found = (
        Leased(
            lease=Lease(parcel_id=row.id, attempt=row.attempt),
            plan_id=row.plan_id,
            offer_id=row.offer_id,
        )
        for row in rows
    )
    return sorted(found, key=lambda held: held.lease.parcel_id)


# Each of the following shows the fence in its WHERE, and says which leases still stood.
# The rows are locked in the order of their ids, so that two reports never wait for each other.
_HELD = """
    WITH held AS (
        SELECT parcel.id
        FROM parcel
        JOIN unnest(CAST(:ids AS bigint[]), CAST(:attempts AS int[])) AS mine (id, attempt)
          ON mine.id = parcel.id AND mine.attempt = parcel.attempt
        WHERE parcel.state = 'running'
        ORDER BY parcel.id
        FOR UPDATE OF parcel
    )
    UPDATE parcel SET {assignments} FROM held WHERE parcel.id = held.id
    RETURNING parcel.id, parcel.attempt
"""
_RENEW = text(_HELD.format(assignments="lease_expires_at = now() + :lease"))
_FINISH = text(_HELD.format(assignments="state = 'done', held_by = NULL, lease_expires_at = NULL"))
# A parcel handed back was not tried in vain: the limit moves with the fence.
_RELEASE = text(
    _HELD.format(
        assignments="""
            state = 'ready', held_by = NULL, lease_expires_at = NULL,
            attempt_limit = attempt_limit + 1, ring_at = now()"""
    )
)


def lock_parcels(conn: Connection, leases: Sequence[Lease]) -> None:
    """Lock the parcels of *leases*, whoever has them now, until the transaction ends."""
    ids = sorted({lease.parcel_id for lease in leases})
    conn.execute(
        select(parcel.c.id).where(parcel.c.id.in_(ids)).order_by(parcel.c.id).with_for_update()
    )


def renew(conn: Connection, leases: Sequence[Lease], *, lease: timedelta) -> set[Lease]:
    """Extend *leases*, and keep them locked until the transaction ends; those that still stand.

    One that is not among them was lost: its parcel has been given to another.
    """
    return _touch(conn, _RENEW, leases, lease=lease)


def finish(conn: Connection, leases: Sequence[Lease]) -> set[Lease]:
    """End *leases*: nothing of their parcels is left to do.  Those that still stood."""
    return _touch(conn, _FINISH, leases)


def release(conn: Connection, leases: Sequence[Lease]) -> set[Lease]:
    """Hand the parcels of *leases* back unfinished, for any worker at once."""
    return _touch(conn, _RELEASE, leases)


def _touch(
    conn: Connection, statement: TextClause, leases: Sequence[Lease], **values: object
) -> set[Lease]:
    if not leases:
        return set()
    arrays = {
        "ids": [lease.parcel_id for lease in leases],
        "attempts": [lease.attempt for lease in leases],
    }
    rows = conn.execute(statement, arrays | values)
    return {Lease(parcel_id=row.id, attempt=row.attempt) for row in rows}
