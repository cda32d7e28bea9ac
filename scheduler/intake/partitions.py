"""Which partitions are ours, and from where each is read: from Postgres, never from Kafka."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from sqlalchemy import Connection, Engine

from scheduler.domain.errors import PositionMoved
from scheduler.intake.batch import Slice, bury, source_of
from scheduler.store.dead_letters import DeadLetter
from scheduler.store.positions import open_position, skip_to


@dataclass(slots=True, kw_only=True)
class Partitions:
    """The partitions that the group gave us.

    A partition is paused when it is given to us, until its position has been read.  The
    listener's methods run in Kafka's own thread, all others in the consumer's.
    """

    consumer: KafkaConsumer
    engine: Engine
    dead_topic: str
    log: Any
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _unplaced: set[TopicPartition] = field(default_factory=set)
    _next: dict[TopicPartition, int] = field(default_factory=dict)

    def gained(self, partitions: Iterable[TopicPartition]) -> None:
        """Called in Kafka's thread before anything is read of *partitions*."""
        with self._lock:
            for one in partitions:
                self._next.pop(one, None)
                self._unplaced.add(one)
                # Any position will do: without one, poll() asks Kafka for its committed offset.
                self.consumer.seek(one, 0)
                self.consumer.pause(one)

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Called in Kafka's thread when *partitions* go to another consumer."""
        with self._lock:
            for one in partitions:
                self._next.pop(one, None)
                self._unplaced.discard(one)

    def mislaid(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading *partitions* until their positions have been read again."""
        with self._lock:
            for one in partitions:
                if one in self._next:
                    self._next.pop(one)
                    self._unplaced.add(one)
                    _if_ours(self.consumer.pause, one)

    @property
    def unplaced(self) -> bool:
        """Whether there are partitions for `place` to place."""
        return bool(self._unplaced)

    def place(self) -> None:
        """Read the positions of new and mislaid partitions, and let these be fetched.

        Nothing of them may be on its way into Postgres.
        """
        with self._lock:
            waiting = sorted(self._unplaced)
        earliest = self.consumer.beginning_offsets(waiting)
        latest = self.consumer.end_offsets(waiting)
        for one in waiting:
            with self.engine.begin() as conn:
                start = self._position(conn, one, earliest[one], latest[one])
            self._let_go(one, start)

    def _let_go(self, one: TopicPartition, start: int) -> None:
        with self._lock:
            if one not in self._unplaced:
                return
            self._unplaced.discard(one)
            self._next[one] = start
            _if_ours(self.consumer.seek, one, start)
            _if_ours(self.consumer.resume, one)

    def _position(self, conn: Connection, one: TopicPartition, earliest: int, latest: int) -> int:
        at = open_position(conn, topic=one.topic, partition=one.partition, earliest=earliest)
        if earliest <= at <= latest:
            return at
        try:
            skip_to(conn, topic=one.topic, partition=one.partition, start=at, to=earliest)
        except PositionMoved:
            return open_position(conn, topic=one.topic, partition=one.partition, earliest=earliest)
        reason = _gap(one, at=at, earliest=earliest, latest=latest)
        self.log.error("messages are gone from Kafka", reason=reason, topic=one.topic)
        letter = DeadLetter(
            source=source_of(one.topic),
            topic=one.topic,
            partition=one.partition,
            offset=at,
            key=None,
            reason=reason,
            payload=b"",
        )
        bury(conn, [letter], self.dead_topic)
        return earliest

    def hold(self, held: Iterable[TopicPartition], *, instead_of: Iterable[TopicPartition]) -> None:
        """Do not fetch of *held* for now; go on with those of *instead_of* that are not held."""
        with self._lock:
            still = set(held)
            for one in still:
                _if_ours(self.consumer.pause, one)
            for one in set(instead_of) - still:
                if one in self._next:
                    _if_ours(self.consumer.resume, one)

    def take(self, one: TopicPartition, *, end: int) -> Slice | None:
        """The slice up to *end* that was fetched of a partition; None if it is not ours to read."""
        with self._lock:
            start = self._next.get(one)
            if start is None or end <= start:
                return None
            self._next[one] = end
        return Slice(topic=one.topic, partition=one.partition, start=start, end=end)

    def placed(self, topics: Iterable[str]) -> frozenset[TopicPartition]:
        """The partitions of *topics* that are being read."""
        wanted = set(topics)
        with self._lock:
            return frozenset(one for one in self._next if one.topic in wanted)


class Listener(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python has no types
    """Tells `Partitions` what the group decided."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._partitions.gained(assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._partitions.lost(revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self._partitions.lost(lost)


def _gap(one: TopicPartition, *, at: int, earliest: int, latest: int) -> str:
    where = f"{one.topic}[{one.partition}]"
    if at < earliest:
        return (
            f"offsets {at} to {earliest - 1} of {where} were deleted by Kafka before they were"
            " taken in; send those jobs again, and let the topic keep its messages for longer"
        )
    return (
        f"{where} ends at offset {latest} and was taken in up to {at}: it was deleted and made"
        f" again; it is taken in from offset {earliest}"
    )


def _if_ours(call: Any, one: TopicPartition, *arguments: int) -> None:
    try:
        call(one, *arguments)
    except (ValueError, KeyError):
        # It was taken away a moment ago; `lost` follows.
        return
