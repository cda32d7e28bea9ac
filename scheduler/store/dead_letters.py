"""Messages that were turned away, kept with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from scheduler.store.tables.flow import dead_letter

NEWER = ("at", "source", "key", "reason", "payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that cannot become a job, or feedback.

    Attributes:
        source: like `kafka:documents.jobs`.
        topic, partition, offset: where it is in Kafka.
        key: its key, as far as it is text.
        reason: what is wrong, and what to do about it.
        payload: the message itself, cut where it is longer than any message may be.
    """

    source: str
    topic: str
    partition: int
    offset: int
    key: str | None
    reason: str
    payload: bytes


def add_dead_letters(conn: Connection, letters: Iterable[DeadLetter]) -> None:
    """Keep *letters*, of which no two have the same place in Kafka.

    A place that is known has a new message: its topic was deleted and made again.
    """
    rows = [
        {
            "source": letter.source,
            "topic": letter.topic,
            "partition": letter.partition,
            "message_offset": letter.offset,
            "key": letter.key,
            "reason": letter.reason,
            "payload": letter.payload,
        }
        for letter in letters
    ]
    if not rows:
        return
    statement = insert(dead_letter)
    newer = {name: statement.excluded[name] for name in NEWER}
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["topic", "partition", "message_offset"], set_=newer
        ),
        rows,
    )
