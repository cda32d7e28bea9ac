"""The intake as a process: from a topic into the database."""

from collections.abc import Callable
from contextlib import closing

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from sqlalchemy import text

from scheduler.store.positions import open_position
from tests.intake.conftest import Stream, job_message
from tests.rig.kafka import Topics
from tests.rig.process import ProcessHandle
from tests.rig.waiting import eventually

Intake = Callable[[], ProcessHandle]


def test_the_smallest_message_becomes_a_queued_job(stream: Stream, intake: Intake) -> None:
    stream.send([b'{"job_id": "a1", "task": "summarize", "text": "..."}'])

    intake()

    stream.wait_for_jobs(1)
    assert stream.scalar("SELECT state FROM job WHERE key = 'a1'") == "queued"


def test_a_bad_message_does_not_stop_the_partition(stream: Stream, intake: Intake) -> None:
    stream.send([b"\xff\xfe", job_message("a"), None, b"[]", job_message("b", priority=99)])
    stream.send([job_message("c")])

    intake()

    stream.wait_for_jobs(2)
    stream.wait_for("SELECT count(*) = 4 FROM dead_letter")
    assert stream.keys() == ["a", "c"]
    stream.wait_for("SELECT count(*) = 4 FROM outbox WHERE topic = 'documents.dead'")


def test_messages_are_taken_in_once_by_two_that_follow_each_other(
    stream: Stream, intake: Intake
) -> None:
    stream.send([job_message(f"a{n}") for n in range(50)])
    first = intake()
    stream.wait_for_jobs(50)
    first.terminate()
    assert first.wait() == 0

    stream.send([job_message(f"b{n}") for n in range(50)])
    intake()

    stream.wait_for_jobs(100)
    assert stream.scalar(f"SELECT next_offset FROM position WHERE topic = '{stream.jobs}'") == 100


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_any_clients_compression_is_read(stream: Stream, intake: Intake, codec: str) -> None:
    stream.send([job_message(f"{codec}-{n}") for n in range(20)], compression_type=codec)

    intake()

    stream.wait_for_jobs(20)


def test_feedback_is_tied_to_its_job_and_a_stray_one_is_a_dead_letter(
    stream: Stream, intake: Intake
) -> None:
    stream.send([job_message("a")])
    intake()
    stream.wait_for_jobs(1)

    stream.send(
        [
            b'{"job_id": "a", "kind": "score", "score": 0.25}',
            b'{"job_id": "a", "kind": "use", "seconds": 90, "scope": "default"}',
            b'{"job_id": "b", "kind": "use"}',
            b'{"job_id": "a", "kind": "loved"}',
        ],
        topic=stream.feedback,
    )

    stream.wait_for("SELECT count(*) = 2 FROM dead_letter")
    assert stream.scalar("SELECT score_ppm FROM feedback WHERE kind = 'score'") == 250_000
    assert stream.scalar("SELECT seconds FROM feedback WHERE kind = 'use'") == 90
    assert stream.scalar("SELECT count(*) FROM feedback") == 2
    assert "no job 'b'" in stream.scalar("SELECT reason FROM dead_letter WHERE message_offset = 2")


def test_intake_waits_while_the_queue_is_full_and_takes_feedback_meanwhile(
    stream: Stream, start: Callable[..., ProcessHandle]
) -> None:
    policy = {"APPORTION_POLICY": '{"intake": {"queue_jobs_max": 5, "chunk_messages": 5}}'}
    stream.send([job_message(f"job-{n}") for n in range(12)])
    process = start("intake", env={**stream.env, **policy})
    process.wait_for_line("queue is full")

    stream.send([b'{"job_id": "job-0", "kind": "use"}'], topic=stream.feedback)
    stream.wait_for("SELECT count(*) = 1 FROM feedback")
    taken = len(stream.keys())
    assert 5 <= taken <= 10

    def work_off_and_count() -> bool:
        with stream.engine.begin() as conn:
            conn.execute(text("UPDATE job SET state = 'done', finished_at = now()"))
        return len(stream.keys()) == 12

    eventually(work_off_and_count, what="all 12 jobs", every_s=0.2)


def test_messages_that_kafka_deleted_are_missed_aloud(
    stream: Stream, intake: Intake, kafka: Topics
) -> None:
    stream.send([job_message(f"job-{n}") for n in range(10)])
    with stream.engine.begin() as conn:
        open_position(conn, topic=stream.jobs, partition=0, earliest=0)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(stream.jobs, 0): 4})

    process = intake()

    stream.wait_for_jobs(6)
    process.wait_for_line("messages are gone from Kafka")
    reason = stream.scalar("SELECT reason FROM dead_letter")
    assert f"offsets 0 to 3 of {stream.jobs}[0] were deleted" in reason


def test_a_message_of_a_transaction_that_was_rolled_back_never_was(
    stream: Stream, intake: Intake
) -> None:
    with closing(
        KafkaProducer(bootstrap_servers=stream.bootstrap, transactional_id=stream.jobs)
    ) as producer:
        producer.init_transactions()
        for key, end in (("no", producer.abort_transaction), ("yes", producer.commit_transaction)):
            producer.begin_transaction()
            producer.send(stream.jobs, value=job_message(key), key=key.encode())
            producer.flush()
            end()

    intake()

    stream.wait_for_jobs(1)
    assert stream.keys() == ["yes"]
