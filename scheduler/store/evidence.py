"""Audit records: appended to a stream's chain, and read back for verification."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from scheduler.domain.evidence import GENESIS, Record, canonical
from scheduler.store.bulk import copy_rows
from scheduler.store.tables.evidence import evidence, evidence_head


def append(conn: Connection, *, stream: str, kind: str, bodies: Sequence[Any]) -> None:
    """Chain one record per body (JSON-able) to *stream*, in the caller's transaction.

    The stream's head stays locked until that ends, so this is called last in it.
    """
    # clock_timestamp() under the head's lock: a stream's records are in the order of their times.
    locked = (
        select(evidence_head.c.seq, evidence_head.c.digest, func.clock_timestamp().label("at"))
        .where(evidence_head.c.stream == stream)
        .with_for_update()
    )
    head = conn.execute(locked).one_or_none()
    if head is None:
        first = insert(evidence_head).values(stream=stream, seq=0, digest=GENESIS)
        conn.execute(first.on_conflict_do_nothing())
        head = conn.execute(locked).one()
    seq, digest, rows = head.seq, head.digest, []
    for body in bodies:
        seq += 1
        record = Record(stream=stream, seq=seq, at=_text(head.at), kind=kind, body=canonical(body))
        digest = record.digest_after(digest)
        rows.append((stream, seq, head.at, kind, record.body, digest))
    copy_rows(conn, "evidence", ("stream", "seq", "at", "kind", "body", "digest"), rows)
    conn.execute(
        update(evidence_head).where(evidence_head.c.stream == stream).values(seq=seq, digest=digest)
    )


def heads(conn: Connection) -> dict[str, tuple[int, bytes]]:
    """Where each stream stands: its last record's number and digest (32 bytes)."""
    rows = conn.execute(select(evidence_head).order_by(evidence_head.c.stream))
    return {row.stream: (row.seq, row.digest) for row in rows}


def records(conn: Connection, *, stream: str) -> Iterator[tuple[Record, bytes]]:
    """The stream's records with their stored digests, in order; not all in memory at once."""
    rows = conn.execute(
        select(evidence).where(evidence.c.stream == stream).order_by(evidence.c.seq),
        execution_options={"yield_per": 1_000},
    )
    for row in rows:
        yield (
            Record(stream=row.stream, seq=row.seq, at=_text(row.at), kind=row.kind, body=row.body),
            row.digest,
        )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
