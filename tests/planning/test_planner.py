"""A window from the queue to the books, on a real Postgres."""

from sqlalchemy import Engine

from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from tests.planning.queued import (
    CHEAP,
    FREE,
    GOOD,
    NOON,
    TOPIC,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    policy,
    rows,
)


def test_a_queued_job_is_planned(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, GOOD, FREE)
        add_budget(conn, 1)
        [job_id] = add_jobs(conn, Wish())

    outcome = plan_window(
        engine, kind=WindowKind.CONTINUOUS, now=NOON, policy=policy(), results_topic=TOPIC
    )

    assert outcome is not None
    print(outcome)
    with engine.begin() as conn:
        [job] = rows(conn, "SELECT * FROM job")
        print(job)
        print(rows(conn, "SELECT * FROM decision"))
        print(rows(conn, "SELECT * FROM parcel"), rows(conn, "SELECT * FROM ledger"))
    assert job.state == "planned"
