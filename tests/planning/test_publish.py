"""The outbox's relay: what a reader of committed messages sees, whoever is killed and when."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from sqlalchemy import Engine, text

from scheduler.planning.publish import _fitting, close_producer, discard
from scheduler.store import outbox
from scheduler.store.connect import open_engine
from scheduler.store.outbox import OutboxRow
from tests.rig.gates import gate
from tests.rig.kafka import Broker, Topics
from tests.rig.process import ProcessHandle
from tests.rig.waiting import eventually
from tests.store.read_only import read_only

# A process of its own around the relay, as `apportion serve` has it in a thread.
RELAY = """
import signal, sys, threading
import structlog
from scheduler.planning.publish import Publishing, run
from scheduler.store.connect import open_engine

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
publishing = Publishing(
    kafka={"bootstrap_servers": [sys.argv[2]]}, name=sys.argv[3], marker_topic=sys.argv[4],
    batch_rows=int(sys.argv[5]), sweep_s=0.2, send_s=3,
)
run(open_engine(sys.argv[1]), publishing, stop=stop, log=structlog.get_logger())
"""


class Relays:
    """Starts relays of one installation, on topics of one test."""

    def __init__(self, topics: Topics, database_url: str, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.results = topics.create("results", partitions=2)
        self.marker = topics.create("relay")
        self._bootstrap = topics.bootstrap
        self._database_url = database_url
        self._home = home
        self._started: list[ProcessHandle] = []

    def start(self, *, batch_rows: int = 1_000) -> ProcessHandle:
        arguments = [self._database_url, self._bootstrap, self.results, self.marker]
        process = ProcessHandle(
            [sys.executable, "-c", RELAY, *arguments, str(batch_rows)],
            log=self._home / f"relay-{len(self._started)}.log",
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            process.end()
            sys.stdout.write(process.output)

    def make_topic(self, name: str) -> None:
        with closing(KafkaAdminClient(bootstrap_servers=self._bootstrap)) as admin:
            admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})

    def write(self, first: int, last: int) -> None:
        """Outbox rows with the keys *first* to *last*, as a worker's flush leaves them."""
        messages = ((f"job-{n}", json.dumps({"job_id": f"job-{n}"})) for n in range(first, last))
        with self.engine.begin() as conn:
            outbox.append(conn, topic=self.results, messages=messages)

    def waiting(self) -> int:
        with self.engine.connect() as conn:
            return conn.execute(text("SELECT count(*) FROM outbox")).scalar_one()

    def wait_until_empty(self) -> None:
        eventually(lambda: self.waiting() == 0, what="an empty outbox")

    def published(self, *, isolation: str = "read_committed") -> list[str]:
        """The keys of all messages, as they come, of one partition after the other."""
        return [
            record.key.decode()
            for record in read_all(self._bootstrap, self.results, isolation=isolation)
        ]


def read_all(bootstrap: str, topic: str, *, isolation: str) -> Iterator:
    parts = [TopicPartition(topic, n) for n in range(2)]
    with closing(
        KafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level=isolation,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
    ) as consumer:
        for part in parts:
            consumer.assign([part])
            end = consumer.end_offsets([part])[part]
            consumer.seek(part, 0)
            while consumer.position(part) < end:
                for records in consumer.poll(500).values():
                    yield from records


@pytest.fixture
def relays(kafka: Topics, database_url: str, engine: Engine, tmp_path: Path) -> Iterator[Relays]:
    relays = Relays(kafka, database_url, engine, tmp_path)
    yield relays
    relays.end()


def test_every_row_is_published_once_and_then_deleted(relays: Relays) -> None:
    relays.write(0, 2_500)

    relays.start()

    relays.wait_until_empty()
    assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(2_500))


def test_rows_of_one_key_keep_their_order(relays: Relays) -> None:
    with relays.engine.begin() as conn:
        outbox.append(
            conn, topic=relays.results, messages=(("k", json.dumps({"n": n})) for n in range(300))
        )

    relays.start(batch_rows=7)

    relays.wait_until_empty()
    records = read_all(relays._bootstrap, relays.results, isolation="read_committed")
    assert [json.loads(record.value)["n"] for record in records] == list(range(300))


def test_a_relay_killed_between_send_and_delete_has_sent_once(relays: Relays) -> None:
    relays.write(0, 500)
    with gate(relays.engine, before="DELETE ON outbox") as wait_for_delete:
        first = relays.start(batch_rows=200)
        wait_for_delete()
        first.kill()

    relays.start(batch_rows=200)

    relays.wait_until_empty()
    assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(500))


def test_a_relay_killed_in_the_middle_of_a_send_leaves_nothing_half_sent(relays: Relays) -> None:
    missing = f"{relays.results}.late"
    relays.write(0, 300)
    with relays.engine.begin() as conn:
        # The relay stops at this row, with those before it sent and not committed.
        outbox.append(conn, topic=missing, messages=[("stuck", "{}")])
    first = relays.start()
    eventually(
        lambda: len(relays.published(isolation="read_uncommitted")) == 300,
        what="rows in an open transaction",
    )
    first.kill()
    assert relays.waiting() == 301

    relays.make_topic(missing)
    relays.start()

    relays.wait_until_empty()
    assert len(relays.published(isolation="read_uncommitted")) == 600
    assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(300))


def test_a_batch_that_was_claimed_and_never_sent_is_sent(relays: Relays) -> None:
    relays.write(0, 500)
    with relays.engine.begin() as conn:
        outbox.claim_batch(conn, batch_no=1, above=0, limit=200)

    relays.start(batch_rows=200)

    relays.wait_until_empty()
    assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(500))


def test_a_row_whose_transaction_ends_late_is_published_too(relays: Relays) -> None:
    with relays.engine.connect() as late:
        outbox.append(late, topic=relays.results, messages=[("late", "{}")])
        relays.write(0, 10)
        relays.start()
        eventually(lambda: relays.waiting() == 0, what="the others to be sent")
        late.commit()

    relays.wait_until_empty()
    assert "late" in relays.published()


def test_two_relays_send_once(relays: Relays) -> None:
    relays.start(batch_rows=50)
    relays.start(batch_rows=50)

    for n in range(10):
        relays.write(n * 100, n * 100 + 100)

    relays.wait_until_empty()
    assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(1_000))


def test_results_wait_while_kafka_is_away(
    own_kafka: Broker, database_url: str, engine: Engine, tmp_path: Path
) -> None:
    relays = Relays(own_kafka.topics, database_url, engine, tmp_path)
    try:
        relay = relays.start()
        relays.write(0, 100)
        relays.wait_until_empty()
        own_kafka.kill()
        relays.write(100, 200)
        relay.wait_for_line("the relay waits for Kafka")
        assert relays.waiting() == 100

        own_kafka.start()

        relays.wait_until_empty()
        assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(200))
    finally:
        relays.end()


def test_a_producer_that_kafka_left_with_a_batch_ends(own_kafka: Broker) -> None:
    topic = own_kafka.topics.create("results")
    producer = KafkaProducer(bootstrap_servers=own_kafka.bootstrap, transactional_id="a-relay")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"acknowledged").get(30)
    own_kafka.kill()
    producer.send(topic, b"never acknowledged")

    close_producer(producer)

    assert not producer._sender.is_alive()


def test_a_result_too_long_for_kafka_goes_without_its_output() -> None:
    payload = json.dumps({"job_id": "a", "status": "done", "output": "x" * 5_000, "cost_usd": "1"})

    message = json.loads(_fitting(OutboxRow(1, "results", "a", payload), limit=2_000))

    assert message["output"] is None
    assert message["output_omitted_bytes"] > 5_000
    assert message["cost_usd"] == "1"


def test_without_kafka_the_outbox_is_emptied(relays: Relays) -> None:
    relays.write(0, 25)
    stop = threading.Event()

    thread = threading.Thread(
        target=discard,
        args=(relays.engine,),
        kwargs={"stop": stop, "log": structlog.get_logger(), "limit": 10, "poll_s": 30},
    )
    thread.start()
    relays.wait_until_empty()
    stop.set()
    thread.join(60)

    assert not thread.is_alive()


def test_without_kafka_what_was_written_before_the_end_is_not_left_behind(relays: Relays) -> None:
    relays.write(0, 25)
    stop = threading.Event()
    stop.set()

    discard(relays.engine, stop=stop, log=structlog.get_logger(), limit=10)

    assert relays.waiting() == 0


def test_without_kafka_a_database_that_cannot_be_written_to_is_waited_for_and_told(
    relays: Relays, database_url: str
) -> None:
    relays.write(0, 25)
    stop, engine = threading.Event(), open_engine(database_url)
    thread = threading.Thread(
        target=discard,
        args=(engine,),
        kwargs={"stop": stop, "log": structlog.get_logger(), "poll_s": 0.05},
    )

    with structlog.testing.capture_logs() as log:
        with read_only(relays.engine):
            thread.start()
            eventually(lambda: log, what="the log to say so")
        relays.wait_until_empty()
        stop.set()
        thread.join(60)

    engine.dispose()
    assert not thread.is_alive()
    assert log[0]["event"] == "the relay waits for Postgres"
    assert log[0]["error"].endswith("in a read-only transaction")
