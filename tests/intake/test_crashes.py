"""What becomes of messages when the intake, Kafka or Postgres dies."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from scheduler.store import embedded
from scheduler.store.migrate import upgrade
from tests.intake.conftest import Stream, job_message, make_stream
from tests.rig import postgres as postgres_rig
from tests.rig.gates import gate, open_gate
from tests.rig.kafka import Broker, Topics
from tests.rig.process import ProcessHandle

Intake = Callable[..., ProcessHandle]


def messages(first: int, last: int) -> list[bytes]:
    """Good ones, and every tenth is bad."""
    return [
        job_message(f"job-{n}") if n % 10 else job_message(f"job-{n}", priority=0)
        for n in range(first, last)
    ]


def good(first: int, last: int) -> list[str]:
    return sorted(f"job-{n}" for n in range(first, last) if n % 10)


def test_a_consumer_killed_between_poll_and_commit_has_stored_nothing(
    stream: Stream, start: Intake
) -> None:
    stream.send(messages(0, 200))
    with gate(stream.engine, before="INSERT ON job") as wait_for_insert:
        first = start("intake", env=dict(stream.env))
        wait_for_insert()
        first.kill()
    assert stream.keys() == []
    assert stream.scalar("SELECT count(*) FROM dead_letter") == 0

    # Another group: what counts is the position in Postgres, and nothing that Kafka keeps.
    start("intake", env={**stream.env, "APPORTION_KAFKA_GROUP": f"{stream.jobs}.next"})

    stream.wait_for_jobs(180)
    assert stream.keys() == good(0, 200)
    stream.wait_for("SELECT count(*) = 20 FROM dead_letter")
    assert stream.scalar("SELECT count(*) FROM outbox") == 20


@pytest.mark.parametrize("chunk_messages", [5_000, 5])
def test_a_consumer_that_lost_its_partition_stores_nothing(
    stream: Stream, start: Intake, chunk_messages: int
) -> None:
    stream.send(messages(0, 50))
    policy = f'{{"intake": {{"chunk_messages": {chunk_messages}}}}}'
    # With the smaller chunks there is a batch behind the one that is stored.
    first = start("intake", env={**stream.env, "APPORTION_POLICY": policy})
    stream.wait_for_jobs(45)

    # The first one is stopped dead with messages in its hands, while another group reads on.
    with gate(stream.engine, before="UPDATE ON position") as wait_for_position:
        stream.send(messages(50, 100))
        wait_for_position()
        os.kill(first.pid, signal.SIGSTOP)
        with stream.engine.begin() as conn:
            # The server forgets the one that hangs, as it does when a machine is gone.
            conn.execute(
                text("""
                SELECT pg_terminate_backend(pid) FROM pg_locks
                WHERE locktype = 'advisory' AND classid = 7 AND NOT granted
            """)
            )
    start("intake", env={**stream.env, "APPORTION_KAFKA_GROUP": f"{stream.jobs}.next"})
    stream.wait_for_jobs(90)
    stream.send(messages(100, 120))
    stream.wait_for_jobs(108)
    os.kill(first.pid, signal.SIGCONT)

    first.wait_for_line("read on by another consumer")
    stream.send(messages(120, 130))
    stream.wait_for_jobs(117)
    stream.wait_for("SELECT count(*) = 13 FROM dead_letter")
    assert stream.keys() == good(0, 130)
    assert stream.scalar("SELECT count(*) FROM outbox") == 13


def test_two_consumers_share_a_topic_and_one_is_killed(
    kafka: Topics, engine: Engine, database_url: str, start: Intake
) -> None:
    stream = make_stream(kafka, engine, database_url, partitions=4)
    first = start("intake", env=dict(stream.env))
    start("intake", env=dict(stream.env))
    stream.send(messages(0, 500))
    stream.wait_for_jobs(450)

    stream.send(messages(500, 1_000))
    first.kill()
    stream.send(messages(1_000, 1_500))

    stream.wait_for_jobs(1_350)
    assert stream.keys() == good(0, 1_500)
    stream.wait_for("SELECT count(*) = 150 FROM dead_letter")


def test_intake_waits_while_kafka_is_away(
    own_kafka: Broker, engine: Engine, database_url: str, start: Intake
) -> None:
    stream = make_stream(own_kafka.topics, engine, database_url)
    stream.send(messages(0, 100))
    intake = start("intake", env=dict(stream.env))
    stream.wait_for_jobs(90)

    own_kafka.kill()
    own_kafka.start()
    stream.send(messages(100, 200))

    stream.wait_for_jobs(180)
    assert stream.keys() == good(0, 200)
    assert intake.status is None


def test_intake_starts_before_kafka_does(
    own_kafka: Broker, engine: Engine, database_url: str, start: Intake
) -> None:
    stream = make_stream(own_kafka.topics, engine, database_url)
    stream.send(messages(0, 10))
    own_kafka.kill()
    intake = start("intake", env=dict(stream.env))
    intake.wait_for_line("intake waits for Kafka")

    own_kafka.start()

    stream.wait_for_jobs(9)


def test_intake_waits_while_postgres_is_away(
    kafka: Topics, session_home: Path, start: Intake
) -> None:
    home = session_home / "own"
    with embedded.start(home) as server:
        upgrade(server.url)
        engine = create_engine(server.url, poolclass=NullPool)
        stream = make_stream(kafka, engine, server.url)
        stream.send(messages(0, 200))
        with gate(engine, before="INSERT ON job") as wait_for_insert:
            intake = start("intake", env=dict(stream.env))
            wait_for_insert()
            # The batch is written and not committed.
            postgres_rig.kill(home)
            intake.wait_for_line("intake waits for Postgres")
            with postgres_rig.start_again(home):
                open_gate(engine)
                stream.wait_for_jobs(180)
                assert stream.keys() == good(0, 200)
                stream.wait_for("SELECT count(*) = 20 FROM dead_letter")
                intake.terminate()
                assert intake.wait() == 0
