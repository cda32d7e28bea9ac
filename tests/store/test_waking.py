"""Jobs that waited for money or for an offer are planned as soon as there is one."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from scheduler.domain.job import When
from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from scheduler.store.waking import bring_forward, latest_change, wake
from tests.planning.queued import (
    GOOD,
    NOON,
    TOPIC,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    listing,
    policy,
    rows,
)

DAY = timedelta(days=1)


@pytest.fixture
def waiting(engine: Engine) -> Engine:
    """A job of acme/legal, put off for want of money until a minute after noon."""
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 0)
        add_budget(conn, 0, scope="other")
        add_jobs(conn, Wish())
    plan_window(engine, kind=WindowKind.CONTINUOUS, now=NOON, policy=policy(), results_topic=TOPIC)
    return engine


def woken(engine: Engine) -> int:
    with engine.begin() as conn:
        return wake(conn, now=NOON)


def test_nothing_changed_and_nobody_is_woken(waiting: Engine) -> None:
    assert woken(waiting) == 0


def test_a_raised_budget_wakes_the_jobs_that_it_bears(waiting: Engine) -> None:
    with waiting.begin() as conn:
        add_budget(conn, 5)
        latest = latest_change(conn, now=NOON)
        [now] = rows(conn, "SELECT now()")
    assert latest == now.now
    assert woken(waiting) == 1

    with waiting.connect() as conn:
        [job] = rows(conn, "SELECT not_before FROM job")
    assert job.not_before == NOON


def test_the_budget_of_another_organisation_wakes_nobody(waiting: Engine) -> None:
    with waiting.begin() as conn:
        add_budget(conn, 5, scope="other")

    assert woken(waiting) == 0


def test_a_new_offer_wakes_all_that_wait(waiting: Engine) -> None:
    with waiting.begin() as conn:
        add_offers(conn, GOOD, listing("new/model"))

    assert woken(waiting) == 1


def test_a_job_is_woken_once_for_one_change(waiting: Engine) -> None:
    with waiting.begin() as conn:
        add_budget(conn, 0.0001)
    assert woken(waiting) == 1
    plan_window(waiting, kind=WindowKind.CONTINUOUS, now=NOON, policy=policy(), results_topic=TOPIC)

    assert woken(waiting) == 0


def test_a_budget_that_begins_wakes_as_one_that_is_set_does(waiting: Engine) -> None:
    with waiting.begin() as conn:
        # Set long ago, for a period that begins the day after the job was put off.
        [day] = rows(conn, "SELECT current_date + 1 AS begins, now() AS now")
        add_budget(conn, 5, scope="acme/legal", starts_on=day.begins, ends_on=day.begins + DAY * 30)
        conn.execute(text("UPDATE budget SET set_at = '2020-01-01' WHERE limit_nusd > 0"))
        conn.execute(text("UPDATE job SET not_before = :at"), {"at": day.now + DAY * 9})
        assert wake(conn, now=day.now) == 0
        assert wake(conn, now=day.now + DAY) == 1


def test_a_night_job_that_is_due_before_the_night_goes_to_the_day(engine: Engine) -> None:
    night = NOON + timedelta(hours=10)
    with engine.begin() as conn:
        early, late, free = add_jobs(
            conn,
            Wish(when=When.NIGHT, deadline=night - timedelta(seconds=1)),
            Wish(when=When.NIGHT, deadline=night),
            Wish(when=When.NIGHT),
        )
        assert bring_forward(conn, night=night) == 1
        kinds = {row.id: row.run_when for row in rows(conn, "SELECT id, run_when FROM job")}
    assert kinds == {early: "now", late: "night", free: "night"}
