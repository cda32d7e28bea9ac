"""What waits to be published: written with what it tells of, deleted when Kafka has it."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, text

from scheduler.store.bulk import copy_rows


class OutboxRow(NamedTuple):
    """One message that waits; *payload* is JSON."""

    id: int
    topic: str
    key: str
    payload: str


def append(conn: Connection, *, topic: str, messages: Iterable[tuple[str, str]]) -> None:
    """Let *messages* (key, JSON) be published on *topic*, if the caller's transaction commits."""
    copy_rows(
        conn, "outbox", ("topic", "key", "payload"), ((topic, key, said) for key, said in messages)
    )


_OPEN_BATCHES = text("""
    SELECT DISTINCT batch_no FROM outbox WHERE batch_no IS NOT NULL ORDER BY batch_no
""")
_BATCH = text("SELECT id, topic, key, payload FROM outbox WHERE batch_no = :batch_no ORDER BY id")
# Sorted by the caller: RETURNING keeps no order.
_CLAIM = text("""
    UPDATE outbox SET batch_no = :batch_no
    WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE id > :above AND batch_no IS NULL ORDER BY id LIMIT :limit))
    RETURNING id, topic, key, payload
""")
_DROP = text("DELETE FROM outbox WHERE batch_no = :batch_no")
_DISCARD = text("""
    WITH gone AS (
        DELETE FROM outbox WHERE id = ANY (ARRAY(
            SELECT id FROM outbox WHERE id > :above ORDER BY id LIMIT :limit))
        RETURNING id)
    SELECT count(*), max(id) FROM gone
""")


def open_batches(conn: Connection) -> list[int]:
    """Numbers of the batches that were about to be sent, the lowest first."""
    return [number for number in conn.execute(_OPEN_BATCHES).scalars() if number is not None]


def batch_rows(conn: Connection, *, batch_no: int) -> list[OutboxRow]:
    """The rows of a batch, in their order."""
    return [OutboxRow._make(row) for row in conn.execute(_BATCH, {"batch_no": batch_no})]


def claim_batch(conn: Connection, *, batch_no: int, above: int, limit: int) -> list[OutboxRow]:
    """Number up to *limit* waiting rows, the oldest first, as the batch that is sent next.

    Rows up to the id *above* are passed by: most of them were deleted, and to walk over what is
    left of them takes longer the more there were.
    """
    arguments = {"batch_no": batch_no, "above": above, "limit": limit}
    return sorted(OutboxRow._make(row) for row in conn.execute(_CLAIM, arguments))


def drop_batch(conn: Connection, *, batch_no: int) -> None:
    """Delete the rows of a batch that Kafka has."""
    conn.execute(_DROP, {"batch_no": batch_no})


def discard(conn: Connection, *, above: int, limit: int) -> tuple[int, int]:
    """Delete up to *limit* rows that nobody will send; how many, and the highest id among them."""
    arguments = {"above": above, "limit": limit}
    count, highest = conn.execute(_DISCARD, arguments).one()
    return count, highest if highest is not None else above
