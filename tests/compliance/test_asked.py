"""What was asked of a job, and of which document, is for the plan to prove: altered limits show."""

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.compliance.verification import verify
from scheduler.store.job_records import ASKED
from tests.compliance.tampering import tamper
from tests.planning.one_window import plan, ready
from tests.planning.queued import Wish, add_jobs

CHECK = "plans against what was asked of their jobs"


def faults(conn: Connection) -> list[str]:
    return [one.where for one in verify(conn).findings if one.check == CHECK]


def what_is_said(conn: Connection) -> list[str]:
    return [one.what for one in verify(conn).findings if one.check == CHECK]


@pytest.fixture
def planned(engine: Engine) -> Engine:
    """Two jobs that are planned, and one that no region that is asked for can do."""
    ready(engine, Wish(), Wish(residency=["eu", "us"], priority=7), Wish(residency=["mars"]))
    plan(engine)
    return engine


def test_jobs_as_they_were_taken_in_have_no_faults(planned: Engine) -> None:
    # What the service itself changes of a job, later, is not what was asked.
    with planned.begin() as conn:
        conn.execute(text("UPDATE job SET state = 'queued', parcel_id = NULL, run_when = 'now'"))
        conn.execute(text("UPDATE job SET deferrals = 3, not_before = now(), spent_nusd = 5"))
        add_jobs(conn, Wish())
        assert faults(conn) == []


ALTERED = [
    "residency = '{}'",
    "residency = '{us,eu}'",
    "data_class = 'restricted'",
    "deadline = '2030-01-01'",
    "min_quality_ppm = 1",
    "max_cost_nusd = 10000000",
    "priority = 8",
    "gain_nusd = 1",
    "loss_nusd = 1",
    "task = 'extract'",
    "tenant_id = 9",
    "project_id = 9",
    "document_id = 1",
    "digest = sha256('x')",
]


@pytest.mark.parametrize("to", ALTERED)
def test_a_job_that_was_altered_after_it_was_planned_is_found(planned: Engine, to: str) -> None:
    with planned.begin() as conn:
        tamper(conn, f"UPDATE job SET {to} WHERE id = 2")
        assert faults(conn) == ["job 2"]
        [said] = what_is_said(conn)
        assert "is not what plan 1 was made for" in said


@pytest.mark.parametrize("to", ALTERED[:2])
def test_where_no_digest_of_each_job_was_noted_the_plan_is_named(planned: Engine, to: str) -> None:
    with planned.begin() as conn:
        tamper(conn, "UPDATE decision SET asked_digest = NULL")
        assert faults(conn) == []
        tamper(conn, f"UPDATE job SET {to} WHERE id = 2")
        assert faults(conn) == ["plan 1"]


@pytest.mark.parametrize("of", ["job_id = 2", "true"])
def test_digests_that_were_altered_are_found(planned: Engine, of: str) -> None:
    with planned.begin() as conn:
        tamper(conn, f"UPDATE decision SET asked_digest = sha256('x') WHERE {of}")
        assert faults(conn) == ["plan 1"]


def test_a_job_that_was_altered_together_with_its_digest_is_found(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(conn, "UPDATE job SET residency = '{}' WHERE id = 2")
        now = f"SELECT {ASKED} FROM job WHERE id = 2"
        tamper(conn, f"UPDATE decision SET asked_digest = ({now}) WHERE job_id = 2")
        assert faults(conn) == ["plan 1"]


def test_of_many_jobs_those_are_named_that_were_altered(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(conn, "UPDATE job SET priority = priority + 1 WHERE id <> 2")
        assert faults(conn) == ["job 1", "job 3"]


def test_a_job_that_no_plan_could_place_is_found_too(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(conn, "UPDATE job SET residency = '{}' WHERE id = 3")
        assert faults(conn) == ["job 3"]


def test_another_text_with_its_own_digest_is_found(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(
            conn,
            "UPDATE document SET body = 'x', digest = sha256('x')"
            " WHERE id = (SELECT document_id FROM job WHERE id = 2)",
        )
        assert faults(conn) == ["job 2"]


def test_a_job_that_is_gone_is_found(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(conn, "DELETE FROM job WHERE id = 2")
        assert faults(conn) == ["job 2"]
        assert what_is_said(conn) == ["was planned by plan 1, and is gone"]


def test_plans_of_an_older_program_are_not_held_against_it(day: Connection) -> None:
    tamper(day, "UPDATE job SET priority = 9 WHERE id = 1")

    assert faults(day) == []
