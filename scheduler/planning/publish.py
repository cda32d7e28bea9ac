"""The outbox to Kafka: each row once, for whoever reads what is committed.

A batch of rows gets a number in Postgres before it is sent.  The send is one Kafka transaction,
in which the number is written to the relay's own topic too.  So, whenever a relay dies, the next
one knows from the last number that Kafka has committed whether to send the open batch again or
to delete it.  Kafka's fence on the transactional id stops a relay that is not quite dead.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAlreadyExistsError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.errors import Unavailable
from scheduler.store import outbox
from scheduler.store.locks import Duty, on_duty
from scheduler.store.outbox import OutboxRow
from scheduler.store.passing import first_line, is_passing

CLOSE_S = 5
"""How long the end of a producer may take, twice where Kafka is away."""

WAIT_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Where rows go, and how many at a time.

    Attributes:
        kafka: kafka-python's arguments, `bootstrap_servers` among them.
        name: of this installation, unique among those that share the brokers.
        marker_topic: the relay's own, with one partition, compacted.
        batch_rows: sent in one transaction, at most.
        message_bytes_max: longer results go without their output; what the brokers allow.
        send_s: how long a batch, and then its commit, may take to be acknowledged.
        poll_s: how often the outbox is looked at while it is empty.
        sweep_s: rows whose transaction ended late, below those already sent, wait up to this.
    """

    kafka: Mapping[str, Any]
    name: str = "apportion"
    marker_topic: str = "documents.relay"
    batch_rows: int = 2_000
    message_bytes_max: int = 1_000_000
    send_s: float = 20.0
    poll_s: float = 0.1
    sweep_s: float = 2.0

    @property
    def transactional_id(self) -> str:
        return f"{self.name}-relay"


class NotPublished(Unavailable):
    """Kafka did not take a batch, or did not say whether it has."""

    def __init__(self, *, batch_no: int, reason: str) -> None:
        super().__init__(f"batch {batch_no} is not known to be published: {reason}")
        self.batch_no = batch_no
        self.reason = reason


def run(
    engine: Engine,
    publishing: Publishing,
    *,
    stop: threading.Event,
    log: Any,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Publish until *stop* is set.  Any number may run: one sends, the others stand by.

    While Kafka or Postgres is away rows wait in the outbox, and it says so.
    """
    tries = 0
    while not stop.is_set():
        began = clock()
        try:
            with on_duty(engine, Duty.PUBLISHING) as conn:
                if conn is None:
                    stop.wait(1.0)
                    continue
                with _relay(conn, publishing, stop=stop, log=log, clock=clock) as relay:
                    relay.recover()
                    relay.run()
        except (KafkaError, NotPublished) as error:
            reason, waits_for = str(error), "Kafka"
        except DBAPIError as error:
            # Whatever it is, nothing is lost: rows stay until Kafka is known to have them.
            reason, waits_for = first_line(error), "Postgres"
        else:
            continue
        tries = 0 if clock() - began > 60 else tries + 1
        log.warning(f"the relay waits for {waits_for}", tries=tries, error=reason)
        stop.wait(WAIT_S[min(tries, len(WAIT_S) - 1)])


def discard(
    engine: Engine, *, stop: threading.Event, log: Any, limit: int = 10_000, poll_s: float = 5.0
) -> None:
    """Empty the outbox until *stop* is set, and once more, where there is no Kafka to publish to.

    Results and dead letters are in tables of their own; these rows only wait to be sent.
    """
    while True:
        is_last = stop.is_set()
        try:
            with engine.begin() as conn:
                count, _ = outbox.discard(conn, above=0, limit=limit)
        except DBAPIError as error:
            if not is_passing(error):
                raise
            log.warning("the relay waits for Postgres", error=first_line(error))
            count = 0
        if count == limit:
            continue
        if is_last:
            return
        stop.wait(poll_s)


@contextmanager
def _relay(
    conn: Connection,
    publishing: Publishing,
    *,
    stop: threading.Event,
    log: Any,
    clock: Callable[[], float],
) -> Iterator["_Relay"]:
    ensure_marker_topic(publishing)
    producer = KafkaProducer(
        **publishing.kafka,
        transactional_id=publishing.transactional_id,
        linger_ms=5,
        batch_size=262_144,
        max_request_size=publishing.message_bytes_max + 65_536,
        max_block_ms=10_000,
        # A transaction that its relay left open is rolled back after this, and until then
        # readers of what is committed wait behind it.
        transaction_timeout_ms=30_000,
        bootstrap_timeout_ms=10_000,
        metrics_enabled=False,
    )
    try:
        yield _Relay(
            conn=conn, producer=producer, publishing=publishing, stop=stop, log=log, clock=clock
        )
    finally:
        close_producer(producer)


def close_producer(producer: KafkaProducer) -> None:
    """End *producer*, also where it still has what Kafka does not acknowledge."""
    try:
        producer.close(timeout=CLOSE_S)
    except KafkaTimeoutError:
        # Else its thread lives on, beside the next producer of this name, until that fences it.
        producer._sender.force_close()
        producer.close(timeout=CLOSE_S)


def ensure_marker_topic(publishing: Publishing) -> None:
    """Make the relay's own topic where it is missing."""
    with closing(KafkaAdminClient(**publishing.kafka, bootstrap_timeout_ms=10_000)) as admin:
        if publishing.marker_topic in admin.list_topics():
            return
        topic = {
            "num_partitions": 1,
            "replication_factor": -1,
            "configs": {"cleanup.policy": "compact", "segment.ms": "3600000"},
        }
        try:
            admin.create_topics({publishing.marker_topic: topic}, wait_for_metadata=True)
        except TopicAlreadyExistsError:
            return


def last_marker(publishing: Publishing) -> int:
    """The number of the last batch that Kafka has committed; 0 before the first."""
    at = TopicPartition(publishing.marker_topic, 0)
    ours = publishing.transactional_id.encode()
    with closing(
        KafkaConsumer(
            **publishing.kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            bootstrap_timeout_ms=10_000,
            metrics_enabled=False,
        )
    ) as consumer:
        consumer.assign([at])
        end = consumer.end_offsets([at])[at]
        consumer.seek(at, consumer.beginning_offsets([at])[at])
        last = 0
        while consumer.position(at) < end:
            for record in consumer.poll(1_000).get(at, ()):
                if record.key == ours:
                    last = max(last, int(record.value))
    return last


@dataclass(slots=True, kw_only=True)
class _Relay:
    """One relay on duty.

    Attributes:
        conn: has the duty; what is done to the outbox is done through it.
    """

    conn: Connection
    producer: KafkaProducer
    publishing: Publishing
    stop: threading.Event
    log: Any
    clock: Callable[[], float]
    _batch_no: int = 0
    _above: int = 0
    _swept_at: float = 0.0

    def recover(self) -> None:
        """Fence the relay before, and bring to an end what it had begun."""
        self.producer.init_transactions()
        # Read after the fence: nothing can be committed in its name any more.
        self._batch_no = marker = last_marker(self.publishing)
        with self.conn.begin():
            begun = outbox.open_batches(self.conn)
        for number in begun:
            self._batch_no = max(self._batch_no, number)
            if number > marker:
                self.log.info("sending a batch again that was not committed", batch_no=number)
                with self.conn.begin():
                    rows = outbox.batch_rows(self.conn, batch_no=number)
                self._send(number, rows)
            with self.conn.begin():
                outbox.drop_batch(self.conn, batch_no=number)

    def run(self) -> None:
        """Send batch after batch.  A batch's rows go in the transaction that claims the next."""
        sent: int | None = None
        while True:
            rows = self._turn(sent)
            sent = None
            if rows:
                self._send(self._batch_no, rows)
                sent = self._batch_no
            elif self.stop.wait(self.publishing.poll_s):
                return
            if self.stop.is_set() and sent is not None:
                with self.conn.begin():
                    outbox.drop_batch(self.conn, batch_no=sent)
                return

    def _turn(self, sent: int | None) -> list[OutboxRow]:
        # Ids are drawn before their transactions end, so a row may appear below those that were
        # sent; looking there every time would mean to walk over all that was ever deleted.
        is_sweep = self.clock() - self._swept_at >= self.publishing.sweep_s
        with self.conn.begin():
            if sent is not None:
                outbox.drop_batch(self.conn, batch_no=sent)
            rows = outbox.claim_batch(
                self.conn,
                batch_no=self._batch_no + 1,
                above=0 if is_sweep else self._above,
                limit=self.publishing.batch_rows,
            )
        if rows:
            self._batch_no += 1
            self._above = max(self._above, rows[-1].id)
        if is_sweep and len(rows) < self.publishing.batch_rows:
            self._swept_at = self.clock()
        return rows

    def _send(self, batch_no: int, rows: Sequence[OutboxRow]) -> None:
        """Publish *rows* and their batch's number, all or nothing.

        Raises:
            NotPublished: they may be published or not; the marker topic knows.
        """
        producer, limit = self.producer, self.publishing.message_bytes_max
        try:
            producer.begin_transaction()
            sends = [
                producer.send(row.topic, key=row.key.encode(), value=_fitting(row, limit))
                for row in rows
            ]
            marker = str(batch_no).encode()
            sends.append(
                producer.send(
                    self.publishing.marker_topic,
                    key=self.publishing.transactional_id.encode(),
                    value=marker,
                    partition=0,
                )
            )
            producer.flush(timeout=self.publishing.send_s)
            # Asked before the commit: a transaction with a hole in it must not be committed.
            failed = next((one for one in sends if not one.succeeded()), None)
            if failed is not None:
                raise failed.exception or KafkaTimeoutError("not acknowledged in time")
            _commit(producer, within_s=self.publishing.send_s)
        except KafkaError as error:
            raise NotPublished(batch_no=batch_no, reason=str(error)) from error


def _commit(producer: KafkaProducer, *, within_s: float) -> None:
    # The client would wait for Kafka for ever, and a process that is told to stop could not.
    outcome: Future[None] = Future()

    def commit() -> None:
        try:
            producer.commit_transaction()
        except Exception as error:  # told to the thread that asked
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    threading.Thread(target=commit, daemon=True, name="relay-commit").start()
    try:
        outcome.result(timeout=within_s)
    except TimeoutError:
        raise KafkaTimeoutError("the commit was not acknowledged in time") from None


def _fitting(row: OutboxRow, limit: int) -> bytes:
    """The row's message; without its output if that makes it longer than Kafka takes."""
    payload = row.payload.encode()
    if len(payload) + len(row.key) < limit:
        return payload
    message = json.loads(payload)
    message["output"] = None
    message["output_omitted_bytes"] = len(payload)
    return json.dumps(message).encode()
