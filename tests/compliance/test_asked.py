"""What was asked of a job, and of which document, is for the plan to prove: altered limits show."""

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.compliance.verification import verify
from tests.compliance.tampering import tamper
from tests.planning.one_window import plan, ready
from tests.planning.queued import Wish, add_jobs

CHECK = "plans against what was asked of their jobs"


def faults(conn: Connection) -> list[str]:
    return [one.where for one in verify(conn).findings if one.check == CHECK]


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
        assert faults(conn) == ["plan 1"]


def test_a_job_that_no_plan_could_place_is_found_too(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(conn, "UPDATE job SET residency = '{}' WHERE id = 3")
        assert faults(conn) == ["plan 1"]


def test_another_text_with_its_own_digest_is_found(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(
            conn,
            "UPDATE document SET body = 'x', digest = sha256('x')"
            " WHERE id = (SELECT document_id FROM job WHERE id = 2)",
        )
        assert faults(conn) == ["plan 1"]


def test_a_job_that_is_gone_is_found(planned: Engine) -> None:
    with planned.begin() as conn:
        tamper(conn, "DELETE FROM job WHERE id = 2")
        assert faults(conn) == ["plan 1"]


def test_plans_of_an_older_program_are_not_held_against_it(day: Connection) -> None:
    tamper(day, "UPDATE job SET priority = 9 WHERE id = 1")

    assert faults(day) == []
