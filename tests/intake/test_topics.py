"""Intake while a topic is missing."""

from collections.abc import Callable
from contextlib import closing

from kafka.admin import KafkaAdminClient

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
