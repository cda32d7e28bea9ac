"""When windows close, and what the planner does between them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import Engine, create_engine, text

from scheduler.domain.job import When
from scheduler.domain.policy import Policy
from scheduler.planning.loop import Look, run, step
from scheduler.planning.outcome import PlanOutcome
from scheduler.store.locks import Duty, on_duty
from tests.planning.queued import (
    CHEAP,
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

SECOND = timedelta(seconds=1)


@pytest.fixture
def ready(engine: Engine) -> Engine:
    with engine.begin() as conn:
        add_offers(conn, CHEAP)
        add_budget(conn, 1)
    return engine


def look(engine: Engine, now: datetime, by: Policy | None = None) -> PlanOutcome | None:
    return step(engine, Look(), now=now, policy=by or policy(), results_topic=TOPIC)


def queue(engine: Engine, *wishes: Wish) -> None:
    with engine.begin() as conn:
        add_jobs(conn, *wishes)


def test_a_window_closes_when_its_oldest_job_has_waited_long_enough(ready: Engine) -> None:
    queue(ready, Wish(), Wish(not_before=NOON + SECOND))
    by = policy(window_s=2.0, window_jobs=3)

    assert look(ready, NOON + 1.9 * SECOND, by) is None
    outcome = look(ready, NOON + 2 * SECOND, by)
    assert outcome is not None
    assert outcome.planned == 2


def test_a_window_closes_when_it_is_full(ready: Engine) -> None:
    queue(ready, Wish(), Wish(), Wish())

    assert look(ready, NOON, policy(window_s=60.0, window_jobs=4)) is None
    outcome = look(ready, NOON, policy(window_s=60.0, window_jobs=2))
    assert outcome is not None
    assert outcome.planned == 2


def test_an_empty_queue_is_no_window(ready: Engine) -> None:
    assert look(ready, NOON + timedelta(days=1)) is None


def test_while_the_offers_are_full_jobs_wait_in_the_queue_and_not_in_the_books(
    engine: Engine,
) -> None:
    with engine.begin() as conn:
        add_offers(conn, listing("slow/model", requests_per_minute=1))
        add_budget(conn, 1)
        add_jobs(conn, Wish(), Wish())
    by = policy(horizon_s=60.0, deferral_s=300.0, window_s=2.0)
    assert look(engine, NOON + 2 * SECOND, by) is not None

    with engine.begin() as conn:
        conn.execute(text("UPDATE job SET not_before = :at WHERE state = 'queued'"), {"at": NOON})
    assert look(engine, NOON + 299 * SECOND, by) is None
    outcome = look(engine, NOON + 300 * SECOND, by)
    assert outcome is not None
    assert outcome.planned == 0


def test_a_window_takes_no_more_jobs_than_there_is_room_for(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, listing("slow/model", requests_per_minute=150))
        add_budget(conn, 1)
        add_jobs(conn, *[Wish() for _ in range(200)])

    outcome = look(engine, NOON + 2 * SECOND, policy(horizon_s=60.0))

    assert outcome is not None
    assert (outcome.jobs, outcome.deferred) == (150, 0)


def test_jobs_for_the_night_wait_for_it(ready: Engine) -> None:
    queue(ready, Wish(when=When.NIGHT))
    by = policy(night_crontab="0 22 * * *", night_s=3_600.0)
    night = datetime(2026, 11, 24, 22, tzinfo=UTC)

    assert look(ready, night - SECOND, by) is None
    outcome = look(ready, night, by)
    assert outcome is not None
    assert (outcome.kind, outcome.planned) == ("night", 1)


def test_a_planner_that_slept_through_the_beginning_makes_up_for_the_night(ready: Engine) -> None:
    queue(ready, Wish(when=When.NIGHT))
    by = policy(night_crontab="0 22 * * *", night_s=3_600.0)

    outcome = look(ready, datetime(2026, 11, 25, 9, tzinfo=UTC), by)

    assert outcome is not None
    assert outcome.kind == "night"


def test_a_job_for_the_night_that_comes_by_day_waits_for_the_next(ready: Engine) -> None:
    morning = datetime(2026, 11, 25, 9, tzinfo=UTC)
    queue(ready, Wish(when=When.NIGHT, not_before=morning - SECOND))
    by = policy(night_crontab="0 22 * * *", night_s=3_600.0)

    assert look(ready, morning, by) is None
    assert look(ready, morning + timedelta(hours=13), by) is not None


def test_a_raised_budget_is_followed_at_once(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP)
        add_budget(conn, 0)
        add_jobs(conn, Wish())
    memory = Look()

    def at(now: datetime) -> PlanOutcome | None:
        return step(engine, memory, now=now, policy=policy(), results_topic=TOPIC)

    first = at(NOON + 2 * SECOND)
    assert first is not None
    assert first.planned == 0
    assert at(NOON + 10 * SECOND) is None
    with engine.begin() as conn:
        add_budget(conn, 1)
    assert at(NOON + 11 * SECOND) is None  # woken, and the window is open again
    second = at(NOON + 13 * SECOND)
    assert second is not None
    assert second.planned == 1


def test_a_window_that_another_process_has_in_hand_is_left_to_it(ready: Engine) -> None:
    queue(ready, Wish())

    with on_duty(ready, Duty.PLANNING):
        assert look(ready, NOON + 5 * SECOND) is None
    assert look(ready, NOON + 5 * SECOND) is not None


def clock_that_stops(stop: Event, times: int) -> Iterator[datetime]:
    for number in range(times):
        if number == times - 1:
            stop.set()
        yield NOON + (5 + number) * SECOND


def test_the_loop_plans_until_it_is_stopped(ready: Engine) -> None:
    queue(ready, Wish())
    stop = Event()
    clock = clock_that_stops(stop, 3)

    run(ready, policy=policy(poll_s=0.0), results_topic=TOPIC, stop=stop, clock=lambda: next(clock))

    with ready.connect() as conn:
        assert [row.state for row in rows(conn, "SELECT state FROM job")] == ["planned"]


def test_a_database_that_is_away_is_waited_for() -> None:
    nobody = create_engine("postgresql+psycopg://127.0.0.1:1/none?connect_timeout=2")
    stop = Event()
    clock = clock_that_stops(stop, 3)

    run(
        nobody, policy=policy(poll_s=0.0), results_topic=TOPIC, stop=stop,
        clock=lambda: next(clock),
    )  # fmt: skip
