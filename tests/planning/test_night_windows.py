"""In the middle of a night: offers that rest, and jobs that cannot wait for its end."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from scheduler.domain.job import When
from scheduler.planning.window import WindowKind
from tests.planning.one_window import one, plan
from tests.planning.queued import (
    GOOD,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    listing,
    policy,
    rest,
)

NIGHTS = policy(night_crontab="0 22 * * *", night_s=3_600.0)
TONIGHT = datetime(2026, 11, 24, 22, tzinfo=UTC)


def test_a_night_job_whose_offer_rests_is_tried_again_the_same_night(engine: Engine) -> None:
    with engine.begin() as conn:
        [offer_id] = add_offers(conn, GOOD).values()
        add_budget(conn, 1)
        add_jobs(conn, Wish(when=When.NIGHT))
        rest(conn, offer_id)

    assert plan(engine, kind=WindowKind.NIGHT, now=TONIGHT, by=NIGHTS).planned == 0

    with engine.connect() as conn:
        assert one(conn, "SELECT * FROM job").not_before == TONIGHT + timedelta(seconds=60)
    # At the end of a night there is no more of it to try again in.
    last_minute = TONIGHT + timedelta(minutes=59)
    assert plan(engine, kind=WindowKind.NIGHT, now=last_minute, by=NIGHTS).planned == 0
    with engine.connect() as conn:
        assert one(conn, "SELECT * FROM job").not_before == TONIGHT + timedelta(days=1)


def test_a_nights_work_does_not_keep_an_urgent_job_out(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, listing("slow/model", requests_per_minute=1))
        add_budget(conn, 1)
        add_jobs(conn, *[Wish(when=When.NIGHT) for _ in range(60)])
    assert plan(engine, kind=WindowKind.NIGHT, now=TONIGHT, by=NIGHTS).planned == 60

    with engine.begin() as conn:
        add_jobs(conn, Wish())

    assert plan(engine, now=TONIGHT + timedelta(minutes=1), by=NIGHTS).planned == 1
    with engine.connect() as conn:
        first = one(conn, "SELECT * FROM parcel ORDER BY due_at LIMIT 1")
    assert first.jobs == 1
