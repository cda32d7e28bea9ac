"""What one poll brought, and how it is stored: all of it, and the new positions, or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kafka.consumer.fetcher import ConsumerRecord
from sqlalchemy import Connection

from scheduler.intake.chunk import Refusal
from scheduler.intake.unwrap import Headers
from scheduler.intake.wire import DeadLetterEvent
from scheduler.store.dead_letters import DeadLetter, add_dead_letters
from scheduler.store.outbox import append
from scheduler.store.positions import advance

KEY_MAX = 200


class Handler(Protocol):
    """Takes in the messages of one topic."""

    def read(self, values: Sequence[bytes | None], headers: Sequence[Headers]) -> Any:
        """What the messages say.  Needs no database, and runs while the batch before is stored."""

    def warm_up(self) -> None:
        """Load what the first message would wait for; called before the group is joined."""

    def store_ahead(self, conn: Connection, said: Any) -> Any:
        """Store what has no effect by itself, and may be stored twice; what `store` is to know.

        It has a transaction of its own, while the batch before is stored; it may be left out.
        """

    def store(self, conn: Connection, said: Any, *, source: str, ahead: Any) -> list[Refusal]:
        """Store what `read` made, in the caller's transaction; which messages were refused.

        *ahead* is what `store_ahead` said, or None.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A partition's offsets from *start* up to, not including, *end*."""

    topic: str
    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One topic's share of a batch.

    Attributes:
        records: the messages of all its slices, one after the other.
        said: what its handler made of them.
    """

    handler: Handler
    topic: str
    slices: Sequence[Slice]
    records: Sequence[ConsumerRecord]
    said: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is stored in one transaction."""

    parts: Sequence[Part]

    @property
    def slices(self) -> list[Slice]:
        """In one order everywhere, so that two consumers never wait for each other in a ring."""
        slices = [one for part in self.parts for one in part.slices]
        return sorted(slices, key=lambda one: (one.topic, one.partition))

    @property
    def messages(self) -> int:
        return sum(len(part.records) for part in self.parts)


def read_part(
    handler: Handler, topic: str, slices: Sequence[Slice], records: Sequence[ConsumerRecord]
) -> Part:
    """The part that *records* of *topic* make."""
    said = handler.read([one.value for one in records], [one.headers for one in records])
    return Part(handler=handler, topic=topic, slices=slices, records=records, said=said)


def store_ahead(conn: Connection, batch: Batch) -> list[Any]:
    """Store of *batch* what its parts' handlers may store ahead; what each said, for `store_batch`.

    It counts once the caller's transaction is committed, and in that session alone.  It need not be
    on disk by then: what is committed later never gets there before it.
    """
    conn.exec_driver_sql("SET LOCAL synchronous_commit = off")
    return [part.handler.store_ahead(conn, part.said) for part in batch.parts]


def store_batch(
    conn: Connection, batch: Batch, *, ahead: Sequence[Any], dead_topic: str, payload_max: int
) -> dict[str, int]:
    """Store *batch* in the caller's transaction; how many messages were refused, by topic.

    *ahead* is what `store_ahead` said in this session, None for every part where it was not done.

    Raises:
        PositionMoved: some of it was taken in by another consumer.  Nothing of it may be kept.
    """
    for one in batch.slices:
        advance(conn, topic=one.topic, partition=one.partition, start=one.start, end=one.end)
    refused = {}
    for part, done in zip(batch.parts, ahead, strict=True):
        refusals = part.handler.store(conn, part.said, source=source_of(part.topic), ahead=done)
        bury(conn, [_letter(part, one, payload_max) for one in refusals], dead_topic, refusals)
        refused[part.topic] = len(refusals)
    return refused


def bury(
    conn: Connection,
    letters: Sequence[DeadLetter],
    dead_topic: str,
    refusals: Sequence[Refusal] = (),
) -> None:
    """Keep *letters*, and let their events be published on *dead_topic*."""
    if not letters:
        return
    add_dead_letters(conn, letters)
    job_ids = [one.job_id for one in refusals] or [None] * len(letters)
    events = (_event(letter, job_id) for letter, job_id in zip(letters, job_ids, strict=True))
    append(conn, topic=dead_topic, messages=events)


def source_of(topic: str) -> str:
    return f"kafka:{topic}"


def _letter(part: Part, refusal: Refusal, payload_max: int) -> DeadLetter:
    record = part.records[refusal.at]
    return DeadLetter(
        source=source_of(part.topic),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=_text(record.key),
        reason=refusal.reason,
        payload=bytes(record.value or b"")[:payload_max],
    )


def _event(letter: DeadLetter, job_id: str | None) -> tuple[str, str]:
    event = DeadLetterEvent(
        reason=letter.reason,
        source=letter.source,
        key=letter.key,
        job_id=job_id,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
    )
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    return letter.key or job_id or place, event.model_dump_json(exclude_none=True)


def _text(key: bytes | None) -> str | None:
    if key is None:
        return None
    return bytes(key).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:KEY_MAX]


Handlers = Mapping[str, Handler]
