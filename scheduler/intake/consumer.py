"""Takes messages from Kafka into Postgres, each exactly once.

The position of every partition is kept in Postgres and moved in the transaction that stores the
messages; Kafka's own committed offset is set afterwards, and only lag charts look at it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from kafka.structs import MemberState
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.errors import PositionMoved
from scheduler.domain.policy import IntakePolicy
from scheduler.intake.batch import Batch, Handler, Slice, read_part
from scheduler.intake.jobs import QueueGauge
from scheduler.intake.partitions import Listener, Partitions
from scheduler.intake.topics import LOOK_S, Topics
from scheduler.intake.writer import RETRY_S, Stopping, Writer
from scheduler.interpreter import collect_rarely, take_short_turns
from scheduler.store.passing import first_line, is_passing

POLL_MS = 1_000
JOIN_LIMIT_S = 15.0
"""kafka-python 3.0.12 may forget that it is joining the group, when the topic's partitions have
changed and a poll ends in the midst of it.  It then sends no heartbeats and never joins; who has
not joined after this long begins anew, and long polls make it rare."""
CONFIG: Mapping[str, Any] = {
    # The positions are ours; a partition without one never asks Kafka.
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
    # What another producer's transaction has rolled back never was.
    "isolation_level": "read_committed",
    # A batch is what one fetch brought, so this bounds its memory.
    "fetch_max_bytes": 33_554_432,
    "max_partition_fetch_bytes": 8_388_608,
    "fetch_max_wait_ms": 100,
    # A consumer that died is missed, and its partitions given to others, after this.
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 2_000,
    "metadata_max_age_ms": 30_000,
    "bootstrap_timeout_ms": 10_000,
    "metrics_enabled": False,
}


class NotJoined(KafkaTimeoutError):  # type: ignore[misc] # kafka-python has no types
    """The group was not joined in time."""

    def __init__(self, *, group: str) -> None:
        super().__init__(f"group {group} was not joined within {JOIN_LIMIT_S:g} s")
        self.group = group


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What is taken in, and how.

    Attributes:
        kafka: kafka-python's arguments, `bootstrap_servers` among them.
        group: the consumers that share the topics' partitions.
        handlers: by topic.
        full_topics: those that wait while the queue is full.
        dead_topic: where events of refused messages are published.
    """

    kafka: Mapping[str, Any]
    group: str
    handlers: Mapping[str, Handler]
    full_topics: Sequence[str]
    dead_topic: str
    policy: IntakePolicy


def run(
    engine: Engine,
    intake: Intake,
    *,
    stop: threading.Event,
    log: Any,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Take in until *stop* is set; then end between two batches, with all that was begun stored.

    Kafka or Postgres may be away at any time, and at the start: it waits, and says so.
    """
    for handler in intake.handlers.values():
        handler.warm_up()
    collect_rarely()
    take_short_turns()
    topics = Topics(kafka=intake.kafka, wanted=list(intake.handlers), log=log, clock=clock)
    tries = 0
    while not stop.is_set():
        began = clock()
        try:
            if topics.look():
                with _session(engine, intake, topics, stop=stop, log=log, clock=clock) as session:
                    session.run()
            else:
                stop.wait(LOOK_S)
        except KafkaError as error:
            reason, waits_for = str(error), "Kafka"
        except DBAPIError as error:
            if not is_passing(error):
                raise
            reason, waits_for = first_line(error), "Postgres"
        else:
            continue
        # Whoever ran for a while is not failing again, but anew.
        tries = 0 if clock() - began > 60 else tries + 1
        log.warning(f"intake waits for {waits_for}", tries=tries, error=reason)
        stop.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])


@contextmanager
def _session(
    engine: Engine,
    intake: Intake,
    topics: Topics,
    *,
    stop: threading.Event,
    log: Any,
    clock: Callable[[], float],
) -> Iterator["_Session"]:
    consumer = KafkaConsumer(
        **{**intake.kafka, **CONFIG},
        group_id=intake.group,
        max_poll_records=intake.policy.chunk_messages,
    )
    writer = Writer(
        engine=engine,
        dead_topic=intake.dead_topic,
        payload_max=intake.policy.message_bytes_max,
        stop=stop,
        log=log,
    )
    try:
        partitions = Partitions(
            consumer=consumer, engine=engine, dead_topic=intake.dead_topic, log=log
        )
        consumer.subscribe(topics.there, listener=Listener(partitions))
        gauge = QueueGauge(engine=engine, jobs_max=intake.policy.queue_jobs_max, clock=clock)
        yield _Session(
            intake=intake,
            topics=topics,
            consumer=consumer,
            partitions=partitions,
            writer=writer,
            gauge=gauge,
            stop=stop,
            log=log,
            clock=clock,
        )
    finally:
        writer.close()
        consumer.close(autocommit=False, timeout_ms=5_000)


@dataclass(slots=True, kw_only=True)
class _Session:
    """One membership in the group: polls and reads here, while `Writer` stores those before."""

    intake: Intake
    topics: Topics
    consumer: KafkaConsumer
    partitions: Partitions
    writer: Writer
    gauge: QueueGauge
    stop: threading.Event
    log: Any
    clock: Callable[[], float]
    _joining_since: float | None = None
    _held: frozenset[TopicPartition] = frozenset()
    _is_full: bool = False

    def run(self) -> None:
        """Take in until told to stop, or until there are other topics to read."""
        while not self.stop.is_set() and not self.topics.have_changed():
            self._hold_if_full()
            batch = self._read(self._poll())
            if not self._finish(but=1 if batch else 0):
                # What follows on a batch that was dropped is of no use either.
                self._forget(batch)
                batch = None
            if batch is not None:
                # Counted at once: what is under way takes up room.
                self.gauge.add(batch.messages)
                self.writer.begin(batch)
            if self.partitions.unplaced:
                self._finish()
                self._place()
        self._finish()

    def _poll(self) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        try:
            self._check_joined()
            _let_parked_be_found(self.consumer)
            found: dict[TopicPartition, list[ConsumerRecord]] = self.consumer.poll(POLL_MS)
        except OffsetOutOfRangeError as error:
            self.partitions.mislaid(error.args[0])
        except NoOffsetForPartitionError:
            # It was given to us in the middle of the poll; it is placed next.
            self.log.debug("a partition has no position yet")
        else:
            return found
        return {}

    def _check_joined(self) -> None:
        """Check that the group counts on us, or will soon.

        Raises:
            NotJoined: it has not for too long.
        """
        if self.consumer.group_metadata().state == MemberState.STABLE:
            self._joining_since = None
        elif self._joining_since is None:
            self._joining_since = self.clock()
        elif self.clock() - self._joining_since > JOIN_LIMIT_S:
            raise NotJoined(group=self.intake.group)

    def _read(self, found: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> Batch | None:
        slices: dict[str, list[Slice]] = {}
        records: dict[str, list[ConsumerRecord]] = {}
        for one, fetched in found.items():
            if taken := self.partitions.take(one, end=fetched[-1].offset + 1):
                slices.setdefault(one.topic, []).append(taken)
                records.setdefault(one.topic, []).extend(fetched)
        parts = [
            read_part(self.intake.handlers[topic], topic, slices[topic], records[topic])
            for topic in sorted(slices)
        ]
        return Batch(parts=parts) if parts else None

    def _finish(self, *, but: int = 0) -> bool:
        """Wait for all batches that were begun *but* for the last; False if one was not stored."""
        is_whole = True
        while len(self.writer.begun) > but:
            is_whole = self._finish_first() and is_whole
        return is_whole

    def _finish_first(self) -> bool:
        """Wait for a batch, and tell Kafka; False if others have taken in some of it."""
        begun = self.writer.begun[0]
        try:
            stored = self.writer.finish(keep_alive=self._keep_alive)
        except PositionMoved as error:
            self.log.warning("a partition was read on by another consumer", error=str(error))
            self._forget(begun)
            return False
        except Stopping:
            self.log.warning("stopped while Postgres was away; nothing was acknowledged")
            return False
        self._hint(stored)
        return True

    def _forget(self, batch: Batch | None) -> None:
        """Drop *batch*, and read its partitions from where Postgres has them."""
        slices = batch.slices if batch else []
        self.partitions.mislaid(TopicPartition(one.topic, one.partition) for one in slices)

    def _hint(self, stored: Batch) -> None:
        offsets = {
            TopicPartition(one.topic, one.partition): OffsetAndMetadata(one.end, "", -1)
            for one in stored.slices
        }
        # A failure is of no consequence, and in a rebalance it is the rule.
        self.consumer.commit_async(offsets, callback=lambda *_: None)

    def _place(self) -> None:
        try:
            self.partitions.place()
        except DBAPIError as error:
            self._wait_for_postgres(error)

    def _hold_if_full(self) -> None:
        is_known = True
        try:
            is_full = self.gauge.is_full()
        except DBAPIError as error:
            self._wait_for_postgres(error)
            is_full, is_known = True, False
        held = self.partitions.placed(self.intake.full_topics) if is_full else frozenset()
        if held and is_known and not self._is_full:
            self.log.warning("the queue is full: intake waits", jobs_max=self.gauge.jobs_max)
        self._is_full = bool(held) and is_known
        self.partitions.hold(held, instead_of=self._held)
        self._held = held

    def _wait_for_postgres(self, error: DBAPIError) -> None:
        if not is_passing(error):
            raise error
        self.log.warning("intake waits for Postgres", error=first_line(error))
        self.stop.wait(1.0)

    def _keep_alive(self) -> None:
        """Stay in the group while Postgres takes its time: poll, and fetch nothing."""
        ours = self.partitions.placed(self.intake.handlers)
        self.partitions.hold(ours, instead_of=self._held)
        self.partitions.mislaid(self._poll())
        self.partitions.hold(self._held, instead_of=ours)


def _let_parked_be_found(consumer: KafkaConsumer) -> None:
    """Mend kafka-python 3.0.12, which may lose a partition that was paused and is not any more.

    What was fetched of a paused partition is parked, and only found again while this attribute is
    None.  After another partition has been read to its end it is not: then the parked records
    wait for ever, and nothing new is fetched behind them.
    """
    fetcher = consumer._fetcher
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None
