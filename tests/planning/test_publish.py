"""The outbox's relay: what a reader of committed messages sees, whoever is killed and when."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine, text

from scheduler.store import outbox
from tests.rig.kafka import Topics
from tests.rig.process import ProcessHandle
from tests.rig.waiting import eventually

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
    batch_rows=int(sys.argv[5]), sweep_s=0.2,
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

    def write(self, first: int, last: int) -> None:
        """Outbox rows with the keys *first* to *last*, as a worker's flush leaves them."""
        messages = ((f"job-{n}", json.dumps({"job_id": f"job-{n}"})) for n in range(first, last))
        with self.engine.begin() as conn:
            outbox.append(conn, topic=self.results, messages=messages)

    def waiting(self) -> int:
        with self.engine.connect() as conn:
            return conn.execute(text("SELECT count(*) FROM outbox")).scalar_one()

    def wait_until_empty(self) -> None:
        eventually(lambda: self.waiting() == 0, within_s=40, what="an empty outbox")

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


GATE = """
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM set_config('lock_timeout', '0', true);
    PERFORM pg_advisory_xact_lock_shared(7, 7);
    RETURN NULL;
END $$;
CREATE TRIGGER gate BEFORE DELETE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate();
"""


@contextmanager
def held_before_delete(engine: Engine) -> Iterator[Callable[[], None]]:
    """Rows are not deleted from the outbox in this block; what it gives waits for one who tries."""
    with engine.begin() as conn:
        conn.execute(text(GATE))
    with engine.connect() as gate, engine.connect() as look:
        gate.execute(text("SELECT pg_advisory_lock(7, 7)"))
        waits = text("SELECT EXISTS (SELECT FROM pg_locks WHERE classid = 7 AND NOT granted)")
        yield (
            lambda: (
                eventually(
                    lambda: look.execute(waits).scalar_one(),
                    within_s=30,
                    what="a delete at the gate",
                )
                and None
            )
        )


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
    with held_before_delete(relays.engine) as wait_for_delete:
        first = relays.start(batch_rows=200)
        wait_for_delete()
        first.kill()

    relays.start(batch_rows=200)

    relays.wait_until_empty()
    assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(500))


def test_a_relay_killed_between_claim_and_send_loses_nothing(relays: Relays) -> None:
    relays.write(0, 500)
    with relays.engine.begin() as conn:
        # What a relay leaves that is killed before its first send.
        outbox.claim_batch(conn, batch_no=1, above=0, limit=200)

    relays.start(batch_rows=200)

    relays.wait_until_empty()
    assert sorted(relays.published()) == sorted(f"job-{n}" for n in range(500))


def test_a_row_whose_transaction_ends_late_is_published_too(relays: Relays) -> None:
    with relays.engine.connect() as late:
        outbox.append(late, topic=relays.results, messages=[("late", "{}")])
        relays.write(0, 10)
        relays.start()
        eventually(lambda: relays.waiting() == 0, within_s=30, what="the others to be sent")
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
