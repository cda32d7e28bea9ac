"""Documents go ahead of their jobs, beside the batch before: only the speed tells."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from tests.intake.conftest import Stream, job_message
from tests.rig.gates import gate
from tests.rig.process import ProcessHandle

Intake = Callable[..., ProcessHandle]
JOBS = 40
TERMINATE_INTAKE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'apportion'
"""


@pytest.fixture
def backlog(stream: Stream) -> Stream:
    """Four batches of ten jobs, with a document each."""
    stream.send([job_message(f"job-{n}") for n in range(JOBS)])
    return stream


def start_intake(start: Intake, stream: Stream, **env: str) -> ProcessHandle:
    policy = '{"intake": {"chunk_messages": 10}}'
    return start("intake", env={**stream.env, "APPORTION_POLICY": policy, **env})


def assert_taken_in_once(stream: Stream) -> None:
    stream.wait_for_jobs(JOBS)
    assert stream.keys() == sorted(f"job-{n}" for n in range(JOBS))
    assert stream.scalar("SELECT count(*) FROM document") == JOBS
    assert stream.scalar("SELECT count(DISTINCT document_id) FROM job") == JOBS


def test_who_is_killed_with_documents_ahead_has_no_job_and_they_are_found_again(
    backlog: Stream, start: Intake
) -> None:
    with gate(backlog.engine, before="INSERT ON job") as wait_for_insert:
        first = start_intake(start, backlog)
        wait_for_insert()
        # Those of the first batch are in its own transaction, which is not over.
        backlog.wait_for("SELECT count(*) = 10 FROM document")
        first.kill()
    ahead = backlog.scalar("SELECT array_agg(id ORDER BY id) FROM document")
    assert backlog.keys() == []
    assert backlog.scalar("SELECT sum(next_offset) FROM position") == 0

    start_intake(start, backlog, APPORTION_KAFKA_GROUP=f"{backlog.jobs}.next")

    assert_taken_in_once(backlog)
    used = "SELECT array_agg(document_id ORDER BY document_id) FROM job WHERE document_id = ANY(%s)"
    assert backlog.scalar(used % f"'{{{','.join(map(str, ahead))}}}'") == ahead


def test_a_document_that_cannot_go_ahead_holds_nobody_up(backlog: Stream, start: Intake) -> None:
    # A rule of the database that the messages' shapes do not know, broken in the second batch.
    refused = "The text of job-15."
    with gate(backlog.engine, before="INSERT ON job") as wait_for_insert:
        with backlog.engine.begin() as conn:
            conn.execute(text(f"ALTER TABLE document ADD CHECK (body <> '{refused}')"))
        process = start_intake(start, backlog)
        wait_for_insert()

    backlog.wait_for_jobs(JOBS - 1)
    reason = backlog.wait_for("SELECT reason FROM dead_letter WHERE message_offset = 15")
    assert "the database refuses it" in reason
    assert backlog.scalar("SELECT count(*) FROM dead_letter") == 1
    assert "waits for" not in process.output


def test_documents_whose_connection_is_lost_come_with_their_jobs(
    backlog: Stream, start: Intake
) -> None:
    with gate(backlog.engine, before="INSERT ON document") as wait_for_insert:
        start_intake(start, backlog)
        wait_for_insert()
        waiting = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 7 AND NOT granted"
        # The first batch, and what goes ahead of the second.
        backlog.wait_for(f"SELECT count(*) = 2 {waiting}")
        with backlog.engine.begin() as conn:
            conn.execute(text(f"SELECT pg_terminate_backend(pid) {waiting}"))

    assert_taken_in_once(backlog)


def test_documents_are_stored_again_where_their_server_is_gone(
    backlog: Stream, start: Intake
) -> None:
    with gate(backlog.engine, before="INSERT ON job") as wait_for_insert:
        start_intake(start, backlog)
        wait_for_insert()
        backlog.wait_for("SELECT count(*) = 10 FROM document")
        with backlog.engine.begin() as conn:
            # As after a failover to a server that had not heard of them.
            conn.execute(text(TERMINATE_INTAKE))
            conn.execute(text("SET LOCAL session_replication_role = replica"))
            conn.execute(text("DELETE FROM document"))

    assert_taken_in_once(backlog)
    assert backlog.scalar("SELECT count(*) FROM dead_letter") == 0
