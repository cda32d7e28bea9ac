"""How far each Kafka partition has been taken in, kept beside what was taken in."""

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from scheduler.domain.errors import PositionMoved
from scheduler.store.tables.flow import position


def open_position(conn: Connection, *, topic: str, partition: int, earliest: int) -> int:
    """Offset to read next; *earliest* where the partition was never read before."""
    conn.execute(
        insert(position)
        .values(topic=topic, partition=partition, next_offset=earliest)
        .on_conflict_do_nothing()
    )
    here = (position.c.topic == topic, position.c.partition == partition)
    return conn.execute(select(position.c.next_offset).where(*here)).scalar_one()


def advance(conn: Connection, *, topic: str, partition: int, start: int, end: int) -> None:
    """Record that the messages from *start* up to, not including, *end* are stored.

    Called in the transaction that stores those messages, so that both happen or neither.
    Kafka's own committed offset is a hint for lag charts and no more.

    Raises:
        PositionMoved: another consumer has read on from *start*.  Roll back, and seek to the
            position that this partition has now.
    """
    assert start < end, (start, end)
    _move(conn, topic=topic, partition=partition, start=start, to=end)


def skip_to(conn: Connection, *, topic: str, partition: int, start: int, to: int) -> None:
    """Go on at *to* in place of *start*, where Kafka has nothing any more (or not yet).

    Raises:
        PositionMoved: another consumer has read on from *start*.
    """
    _move(conn, topic=topic, partition=partition, start=start, to=to)


def _move(conn: Connection, *, topic: str, partition: int, start: int, to: int) -> None:
    # Equal to *start*, not merely below: a consumer that lost the partition may hold messages
    # that overlap what the new owner has stored.
    moved = conn.execute(
        update(position)
        .where(
            position.c.topic == topic,
            position.c.partition == partition,
            position.c.next_offset == start,
        )
        .values(next_offset=to)
    )
    if moved.rowcount != 1:
        raise PositionMoved(topic=topic, partition=partition, start=start)
