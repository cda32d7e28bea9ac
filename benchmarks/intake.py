"""How fast jobs of 1 KB come from Kafka into Postgres, beside what the parts can do alone.

Run it from the repository: `python -m benchmarks.intake [--jobs 60000] [--rounds 3]`.  It starts a
broker and databases of its own (see tests/rig), all on disk with their usual safety, and prints
one line of JSON: the median of the rounds.  The baselines are of the same rounds: a bare poll loop,
a bare COPY of as many bytes, and COPY to a staging table with INSERT .. ON CONFLICT.  They run
with the interpreter as Python sets it, from a broker that has been read from before.
"""

import argparse
import gc
import json
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

import psycopg
import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import Engine, make_url, text

from scheduler.domain.policy import IntakePolicy
from scheduler.intake.chunk import Reader
from scheduler.intake.consumer import CONFIG, Intake, run
from scheduler.intake.files import Roots
from scheduler.intake.jobs import JobIntake
from scheduler.store import embedded
from scheduler.store.connect import open_engine
from scheduler.store.migrate import upgrade
from tests.rig.kafka import Topics, broker
from tests.rig.postgres import libpq

TEXT = """the supplier shall deliver within thirty days of the order and the buyer may refuse goods
that are late or damaged unless the delay was caused by an event beyond reasonable control"""
WORDS = re.findall(r"\w+", TEXT)
PARTITIONS = 4
BYTES = 1_024
Figures = dict[str, float]
PYTHONS_OWN = gc.get_threshold(), sys.getswitchinterval()


def messages(count: int, *, first: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Keys and jobs of 1 KB, numbered from *first*, every text another."""
    rng = random.Random(first)
    for n in range(first, first + count):
        key = f"job-{n:08}"
        head = {"job_id": key, "task": "summarize", "priority": 1 + n % 9}
        text = f"{n} " + " ".join(rng.choices(WORDS, k=200))
        room = BYTES - len(json.dumps(head | {"text": ""}))
        yield key.encode(), json.dumps(head | {"text": text[:room]}).encode()


def as_python_sets_it() -> None:
    """Undo what intake, which sets it anew for itself, has set (scheduler.interpreter).

    With intake's settings the bare loop of later rounds was an eighth faster than anybody's is.
    """
    thresholds, turn_s = PYTHONS_OWN
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(turn_s)


def produce(topics: Topics, topic: str, count: int, *, first: int) -> None:
    with closing(
        KafkaProducer(bootstrap_servers=topics.bootstrap, linger_ms=20, batch_size=262_144)
    ) as producer:
        for key, value in messages(count, first=first):
            producer.send(topic, key=key, value=value)
        producer.flush(120)


def poll_alone(topics: Topics, topic: str, count: int) -> float:
    """Messages per second of a bare poll loop."""
    config = {**CONFIG, "bootstrap_servers": topics.bootstrap, "auto_offset_reset": "earliest"}
    del config["session_timeout_ms"], config["heartbeat_interval_ms"]
    with closing(KafkaConsumer(**config, max_poll_records=5_000)) as consumer:
        consumer.assign([TopicPartition(topic, n) for n in range(PARTITIONS)])
        consumer.seek_to_beginning()
        seen, began = 0, time.perf_counter()
        while seen < count:
            seen += sum(map(len, consumer.poll(1_000).values()))
        return count / (time.perf_counter() - began)


TABLES = """
    CREATE TABLE plain (key text, body text);
    CREATE TABLE keyed (key text PRIMARY KEY, body text);
    CREATE TEMP TABLE staging (key text, body text) ON COMMIT DELETE ROWS;
"""


def copy_alone(url: str, count: int, *, chunk: int = 5_000) -> tuple[float, float]:
    """Rows per second of a bare COPY, and of COPY to staging with INSERT .. ON CONFLICT."""
    rows = [(key.decode(), value.decode()) for key, value in messages(count)]
    chunks = [rows[at : at + chunk] for at in range(0, count, chunk)]
    speeds = []
    with psycopg.connect(libpq(make_url(url))) as conn:
        conn.execute(TABLES)
        conn.commit()
        for table, after in (
            ("plain", None),
            ("staging", "INSERT INTO keyed SELECT * FROM staging ON CONFLICT DO NOTHING"),
        ):
            began = time.perf_counter()
            for one in chunks:
                with conn.cursor().copy(f"COPY {table} (key, body) FROM STDIN") as copy:
                    for row in one:
                        copy.write_row(row)
                if after:
                    conn.execute(after)
                conn.commit()
            speeds.append(count / (time.perf_counter() - began))
    return speeds[0], speeds[1]


def intake_s(engine: Engine, topics: Topics, topic: str, count: int) -> float:
    """Jobs per second of the service's own intake, from the first stored to the last."""
    policy = IntakePolicy()
    reader = Reader(policy=policy, roots=Roots(bytes_max=policy.file_bytes_max))
    intake = Intake(
        kafka={"bootstrap_servers": [topics.bootstrap]},
        group=f"{topic}.intake",
        handlers={topic: JobIntake(reader=reader)},
        full_topics=(topic,),
        dead_topic="documents.dead",
        policy=policy,
    )
    stop = threading.Event()
    thread = threading.Thread(
        target=run, args=(engine, intake), kwargs={"stop": stop, "log": structlog.get_logger()}
    )
    thread.start()
    try:
        return _speed(engine, topic, count)
    finally:
        stop.set()
        thread.join()


def _speed(engine: Engine, topic: str, count: int) -> float:
    began, first, stored = 0.0, 0, 0
    positions = text("SELECT coalesce(sum(next_offset), 0) FROM position WHERE topic = :topic")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        while stored < count:
            stored = conn.execute(positions, {"topic": topic}).scalar_one()
            if stored and not first:
                began, first = time.perf_counter(), stored
            time.sleep(0.05)
        speed = float(count - first) / (time.perf_counter() - began)
        assert conn.execute(text("SELECT count(*) FROM job")).scalar_one() == count
    return speed


def one_round(kafka: Topics, count: int, *, first: int) -> Figures:
    """Every speed once, in jobs, messages or rows per second; with a new database.

    It is gone afterwards: with the files of earlier rounds in the page cache, the kernel took twice
    as much of the time, and intake lost a sixth.
    """
    topic = kafka.create("jobs", partitions=PARTITIONS)
    produce(kafka, topic, count, first=first)
    with tempfile.TemporaryDirectory() as home, embedded.start(Path(home)) as server:
        upgrade(server.url)
        as_python_sets_it()
        poll_alone(kafka, topic, count)  # the broker's own code is cold in the first round
        poll = poll_alone(kafka, topic, count)
        copy, staged = copy_alone(server.url, count)
        engine = open_engine(server.url)
        ours = intake_s(engine, kafka, topic, count)
        engine.dispose()
    return {
        "intake_per_s": ours,
        "poll_alone_per_s": poll,
        "copy_alone_per_s": copy,
        "copy_and_insert_per_s": staged,
        "share_of_slower": ours / min(poll, copy),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, broker(Path(home, "kafka")) as kafka:
        rounds = [
            one_round(kafka.topics, asked.jobs, first=n * asked.jobs) for n in range(asked.rounds)
        ]
    print(
        json.dumps(
            {
                "benchmark": "intake",
                "jobs": asked.jobs,
                "job_bytes": BYTES,
                "rounds": asked.rounds,
                **{name: _rounded(median(one[name] for one in rounds)) for name in rounds[0]},
                "share_in_rounds": [round(one["share_of_slower"], 3) for one in rounds],
                "goal_share": 0.25,
            }
        )
    )


def _rounded(figure: float) -> float:
    return round(figure) if figure > 100 else round(figure, 3)


if __name__ == "__main__":
    main()
