"""Parcels as the planner makes them, and how much of each offer's work is still undone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from scheduler.store.bulk import copy_rows

_IDS = text("""
    SELECT nextval(pg_get_serial_sequence('parcel', 'id')) FROM generate_series(1, :count)
""")

# One branch per state: each has its partial index, and finished parcels are not looked at.
_UNDONE = text("""
    SELECT offer_id, sum(jobs)::bigint AS jobs, sum(tokens)::bigint AS tokens
    FROM (
        SELECT offer_id, jobs, tokens FROM parcel WHERE state = 'ready' AND due_at <= :before
        UNION ALL
        SELECT offer_id, jobs, tokens FROM parcel WHERE state = 'running'
    ) AS undone
    GROUP BY offer_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewParcel:
    """A parcel to be made.

    Attributes:
        tokens: that its calls are expected to use, input and output together.
        due_at: the most urgent of its jobs' times; parcels are leased in this order.
    """

    offer_id: int
    provider_id: int
    jobs: int
    tokens: int
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Work that is planned for an offer and not finished."""

    jobs: int
    tokens: int


def reserve_ids(conn: Connection, *, count: int) -> list[int]:
    """*count* new parcel ids."""
    return list(conn.execute(_IDS, {"count": count}).scalars())


def add_parcels(
    conn: Connection,
    parcels: Sequence[NewParcel],
    *,
    ids: Sequence[int],
    plan_id: int,
    attempt_limit: int,
) -> None:
    """Write *parcels*, ready to be rung for."""
    columns = ("id", "plan_id", "offer_id", "provider_id", "jobs", "tokens", "due_at")
    copy_rows(
        conn,
        "parcel",
        (*columns, "attempt_limit"),
        (
            (
                parcel_id,
                plan_id,
                one.offer_id,
                one.provider_id,
                one.jobs,
                one.tokens,
                one.due_at,
                attempt_limit,
            )
            for parcel_id, one in zip(ids, parcels, strict=True)
        ),
    )


def undone_work(conn: Connection, *, before: datetime) -> dict[int, Undone]:
    """By offer's id, what is in work, or planned and due up to *before*.

    What is due later is done later: a night's work is no reason to refuse an urgent job.
    """
    found = conn.execute(_UNDONE, {"before": before})
    return {row.offer_id: Undone(jobs=row.jobs, tokens=row.tokens) for row in found}
