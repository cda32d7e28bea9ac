"""Intake while a topic is missing."""

import gc
from collections.abc import Callable
from contextlib import closing
from warnings import catch_warnings

import structlog
from kafka.admin import KafkaAdminClient
from structlog.testing import capture_logs

from scheduler.intake.topics import STILL_THERE_S, Topics
from tests.intake.conftest import Stream, job_message
from tests.rig.process import ProcessHandle


def make_topic(stream: Stream, name: str) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=stream.bootstrap)) as admin:
        admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})


def test_a_missing_topic_is_told_once_and_read_from_when_it_is_made(
    stream: Stream, start: Callable[..., ProcessHandle]
) -> None:
    later = f"{stream.jobs}.later"
    intake = start("intake", env={**stream.env, "APPORTION_JOBS_TOPIC": later})
    intake.wait_for_line(f"{later}.*Kafka lacks topics")

    # The topic that is there is read meanwhile.
    stream.send([b'{"job_id": "a", "kind": "use"}'], topic=stream.feedback)
    stream.wait_for("SELECT count(*) = 1 FROM dead_letter")
    assert intake.output.count(later) == 1

    make_topic(stream, later)
    stream.send([job_message("a")], topic=later)
    stream.wait_for_jobs(1)
    assert intake.output.count("Kafka lacks topics") == 1
    intake.terminate()
    assert intake.wait() == 0


def test_intake_waits_while_no_topic_is_there(
    stream: Stream, start: Callable[..., ProcessHandle]
) -> None:
    jobs, feedback = f"{stream.jobs}.later", f"{stream.feedback}.later"
    env = {"APPORTION_JOBS_TOPIC": jobs, "APPORTION_FEEDBACK_TOPIC": feedback}
    intake = start("intake", env={**stream.env, **env})
    intake.wait_for_line("Kafka lacks topics")

    make_topic(stream, jobs)
    stream.send([job_message("a")], topic=jobs)
    stream.wait_for_jobs(1)
    assert intake.output.count("Kafka lacks topics") == 1


def test_a_topic_that_is_deleted_is_told_and_not_read_from(stream: Stream) -> None:
    now_s = 1_000.0
    topics = Topics(
        kafka={"bootstrap_servers": [stream.bootstrap]},
        wanted=[stream.jobs, stream.feedback],
        log=structlog.get_logger(),
        clock=lambda: now_s,
    )
    assert topics.look()
    with closing(KafkaAdminClient(bootstrap_servers=stream.bootstrap)) as admin:
        admin.delete_topics([stream.jobs])

    # It is not asked for at every poll.
    assert not topics.have_changed()
    now_s += STILL_THERE_S
    assert topics.have_changed()
    with capture_logs() as said:
        assert topics.look()
    assert topics.there == [stream.feedback]
    assert [one["topics"] for one in said] == [stream.jobs]


def test_all_topics_are_taken_to_be_there_while_kafka_does_not_say(stream: Stream) -> None:
    now_s = 1_000.0
    topics = Topics(
        kafka={"bootstrap_servers": [stream.bootstrap]},
        wanted=[stream.jobs],
        log=structlog.get_logger(),
        clock=lambda: now_s,
    )
    topics.look()
    topics.kafka = {"bootstrap_servers": ["127.0.0.1:1"]}
    now_s += STILL_THERE_S

    # A client of kafka-python that found nobody leaves its socket to the collector.
    with catch_warnings(action="ignore", category=ResourceWarning):
        assert not topics.have_changed()
        gc.collect()
