"""The intake as a process: from a topic into the database."""

from collections.abc import Callable

from tests.intake.conftest import Stream, job_message
from tests.rig.process import ProcessHandle

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
