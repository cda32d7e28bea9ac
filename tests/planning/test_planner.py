"""A window from the queue to the books, on a real Postgres."""

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from scheduler.domain.job import When
from scheduler.planning.planner import dry_run, plan_window
from scheduler.planning.window import WindowKind
from tests.planning.one_window import one, plan, ready
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
    listing,
    policy,
    rows,
)


def test_a_planned_job_has_a_parcel_and_its_money(engine: Engine) -> None:
    ready(engine, Wish())

    outcome = plan(engine)

    assert (outcome.planned, outcome.deferred) == (1, 0)
    with engine.connect() as conn:
        job = one(conn, "SELECT * FROM job")
        parcel = one(conn, "SELECT * FROM parcel")
        decision = one(conn, "SELECT * FROM decision")
        entry = one(conn, "SELECT * FROM ledger")
        budget = one(conn, "SELECT * FROM budget")
    assert (job.state, job.parcel_id, job.plan_id) == ("planned", parcel.id, outcome.plan_id)
    assert job.reserved_nusd == decision.reserved_nusd == entry.amount_nusd == budget.reserved_nusd
    assert job.booked_on == entry.booked_on == NOON.date()
    assert (entry.kind, entry.job_id, entry.plan_id) == ("reservation", job.id, outcome.plan_id)
    assert (parcel.state, parcel.jobs, parcel.offer_id) == ("ready", 1, decision.offer_id)
    assert parcel.tokens == decision.input_tokens + decision.output_tokens


def test_the_price_and_the_limits_of_the_call_are_in_the_decision(engine: Engine) -> None:
    ready(engine, Wish())
    plan(engine)

    with engine.connect() as conn:
        decision = one(conn, "SELECT * FROM decision")
        price = one(
            conn,
            f"SELECT price.* FROM price WHERE id = {decision.price_id}",
        )
    assert price.offer_id == decision.offer_id
    assert decision.cost_nusd == -(
        -(decision.input_tokens * price.input_pusd + decision.output_tokens * price.output_pusd)
        // 1_000
    )
    assert decision.cost_nusd < decision.reserved_nusd
    assert decision.output_limit > decision.output_tokens
    assert decision.quality_low_ppm < decision.quality_ppm


def test_the_next_best_options_are_at_other_offers_best_first(engine: Engine) -> None:
    ready(engine, Wish())
    plan(engine)

    with engine.connect() as conn:
        decision = one(conn, "SELECT * FROM decision")
        names = {row.id: row.name for row in rows(conn, "SELECT id, name FROM offer")}
    assert names[decision.offer_id] == GOOD.offer.name
    assert [names[other["offer_id"]] for other in decision.alternatives] == [
        CHEAP.offer.name,
        FREE.offer.name,
    ]
    wanted = {
        "offer_id", "price_id", "reduction", "reserved_nusd", "output_limit", "input_tokens",
        "output_tokens", "quality_ppm",
    }  # fmt: skip
    assert all(set(other) == wanted for other in decision.alternatives)


def test_so_many_next_best_options_are_kept_as_the_policy_says(engine: Engine) -> None:
    ready(engine, Wish())
    plan(engine, by=policy(alternatives=1))

    with engine.connect() as conn:
        assert len(one(conn, "SELECT alternatives FROM decision").alternatives) == 1


def test_every_budget_above_the_project_is_kept(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 100, scope="acme")
        add_budget(conn, 0.012, scope="acme/legal")
        add_jobs(conn, *[Wish() for _ in range(5)], Wish(project="acme/hr/letters"))

    # The team's dollar and a bit pay for some of its jobs; the other team is not held back.
    outcome = plan(engine, by=policy(kept_quality_ppm={}))

    assert (outcome.planned, outcome.deferred) == (3, 3)
    with engine.connect() as conn:
        assert (
            one(
                conn,
                "SELECT count(*) FROM job JOIN scope ON scope.id = project_id"
                " WHERE path = 'acme/hr/letters' AND state = 'planned'",
            ).count
            == 1
        )
        budgets = rows(conn, "SELECT reserved_nusd, limit_nusd FROM budget ORDER BY limit_nusd")
    assert 0 < budgets[0].reserved_nusd <= budgets[0].limit_nusd
    assert budgets[1].reserved_nusd > budgets[0].reserved_nusd


def test_a_job_for_which_there_is_no_money_waits_and_knows_why(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 0.001)
        add_jobs(conn, Wish())

    outcome = plan(engine, by=policy(kept_quality_ppm={}))

    assert (outcome.planned, outcome.deferred, outcome.failed) == (0, 1, 0)
    with engine.connect() as conn:
        job = one(conn, "SELECT * FROM job")
        decision = one(conn, "SELECT * FROM decision")
        assert rows(conn, "SELECT * FROM parcel") == []
        assert rows(conn, "SELECT * FROM ledger") == []
    assert job.state == "queued"
    assert job.deferral_reason == (
        "no budget left in acme for November 2026: the cheapest option needs $0.005382,"
        " $0.001 is free"
    )
    assert decision.deferral_reason == job.deferral_reason
    assert (job.deferrals, job.not_before) == (1, NOON + timedelta(seconds=60))


def test_a_project_without_a_budget_gets_what_is_free(engine: Engine) -> None:
    ready(engine, Wish(), usd=None)

    plan(engine)

    with engine.connect() as conn:
        assert one(conn, "SELECT name FROM decision JOIN offer ON offer.id = offer_id").name == (
            FREE.offer.name
        )
        assert one(conn, "SELECT reserved_nusd FROM job").reserved_nusd == 0


def test_a_budget_of_another_time_pays_nothing(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 100)
        add_jobs(conn, Wish(not_before=NOON - timedelta(days=40)))

    outcome = plan(engine, now=NOON - timedelta(days=30))

    assert outcome.planned == 0
    assert outcome.reasons[0].reason.startswith("no budget covers acme/legal/contracts on 2026-10")


def test_offers_are_given_no_more_than_their_rate_limits_take(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, listing("slow/model", requests_per_minute=2))
        add_budget(conn, 100)
        add_jobs(conn, *[Wish() for _ in range(5)])
    two_minutes = policy(horizon_s=120.0)

    first = plan(engine, by=two_minutes)
    assert (first.planned, first.deferred) == (4, 1)
    assert first.reasons[0].reason == (
        "the one offer it may have is at its rate limit for the next 2 minutes"
    )

    # What is planned and unfinished has taken its part; what is done has not.
    later = NOON + timedelta(minutes=2)
    assert plan(engine, by=two_minutes, now=later).planned == 0
    with engine.begin() as conn:
        conn.execute(text("UPDATE parcel SET state = 'done'"))
    assert plan(engine, by=two_minutes, now=later + timedelta(minutes=2)).planned == 1


def test_tokens_count_against_the_rate_limit_as_requests_do(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, listing("slow/model", tokens_per_minute=2_000))
        add_budget(conn, 100)
        add_jobs(conn, *[Wish() for _ in range(5)])

    outcome = plan(engine, by=policy(horizon_s=60.0, kept_quality_ppm={}))

    assert outcome.planned == 1


def test_urgent_jobs_are_done_in_the_first_parcels(engine: Engine) -> None:
    soon = NOON + timedelta(minutes=1)
    wishes = [Wish(), Wish(priority=9), Wish(deadline=soon), Wish(priority=1)]
    ready(engine, *wishes)

    plan(engine, by=policy(parcel_jobs=1))

    with engine.connect() as conn:
        found = rows(
            conn,
            "SELECT job.id, due_at FROM job JOIN parcel ON parcel.id = parcel_id ORDER BY due_at",
        )
    assert [row.id for row in found] == [3, 2, 1, 4]
    assert found[0].due_at == soon


def test_a_parcel_has_one_offer_and_a_bounded_number_of_jobs(engine: Engine) -> None:
    ready(engine, *[Wish() for _ in range(7)], usd=0.02)

    plan(engine, by=policy(parcel_jobs=3))

    with engine.connect() as conn:
        parcels = rows(
            conn,
            "SELECT parcel.id, parcel.jobs, count(*), count(DISTINCT decision.offer_id) AS offers,"
            " min(decision.offer_id) AS offer_id, parcel.offer_id AS own FROM parcel"
            " JOIN job ON job.parcel_id = parcel.id"
            " JOIN decision ON decision.job_id = job.id GROUP BY parcel.id",
        )
    assert sum(row.count for row in parcels) == 7
    assert all(row.jobs == row.count <= 3 for row in parcels)
    assert all(row.offers == 1 and row.offer_id == row.own for row in parcels)


def test_a_job_past_its_deadline_fails_once_with_its_reason(engine: Engine) -> None:
    ready(engine, Wish(deadline=NOON - timedelta(seconds=1)))

    outcome = plan(engine)

    assert (outcome.deferred, outcome.failed) == (1, 1)
    with engine.connect() as conn:
        job = one(conn, "SELECT * FROM job")
        result = one(conn, "SELECT * FROM result")
        message = one(conn, "SELECT * FROM outbox")
    assert (job.state, job.finished_at is not None) == ("failed", True)
    assert (result.status, result.reason) == (
        "failed", "its deadline has passed: it was 2026-11-24 11:59:59+00:00",
    )  # fmt: skip
    assert (message.topic, message.key) == (TOPIC, job.key)
    said = json.loads(message.payload)
    assert (said["job_id"], said["status"], said["reason"], said["cost_usd"]) == (
        job.key, "failed", result.reason, "0",
    )  # fmt: skip
    assert (
        plan_window(engine, kind=WindowKind.ASKED, now=NOON, policy=policy(), results_topic=TOPIC)
        is None
    )


def test_a_job_that_nothing_may_serve_fails_when_it_was_put_off_often_enough(
    engine: Engine,
) -> None:
    ready(engine, Wish(residency=["mars"], deferrals=2), Wish(residency=["mars"], deferrals=1))

    outcome = plan(engine, by=policy(deferrals_max=2))

    assert (outcome.deferred, outcome.failed) == (2, 1)
    with engine.connect() as conn:
        assert one(conn, "SELECT reason FROM result").reason == (
            "no offer that can summarize is in region mars (put off 2 times)"
        )


def test_a_job_that_only_lacks_money_does_not_fail_for_it(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 0)
        add_jobs(conn, Wish(deferrals=30_000))

    assert plan(engine, by=policy(deferrals_max=2)).failed == 0


def test_the_same_queue_is_planned_in_the_same_way(engine: Engine) -> None:
    ready(engine, *[Wish(priority=1 + number % 9) for number in range(40)], usd=0.1)

    first = dry_run(engine, kind=WindowKind.ASKED, now=NOON, policy=policy())
    again = dry_run(engine, kind=WindowKind.ASKED, now=NOON, policy=policy())
    made = plan(engine, kind=WindowKind.ASKED)

    assert first is not None
    assert again is not None
    assert first.options == again.options == made.options
    assert first.value == again.value == made.value
    assert first.value <= first.bound


def test_a_dry_run_changes_nothing(engine: Engine) -> None:
    ready(engine, Wish(), Wish(deadline=NOON))
    state = "SELECT array_agg(job.*::text ORDER BY id), (SELECT count(*) FROM evidence) FROM job"
    with engine.connect() as conn:
        before = rows(conn, state)

    outcome = dry_run(
        engine,
        kind=WindowKind.ASKED,
        now=NOON,
        policy=policy(),
        listings=[listing("new/model", quality=0.99)],
    )

    # It was made with another catalog, which is not the service's either.
    assert outcome is not None
    assert outcome.plan_id is None
    assert [line.offer for line in outcome.options] == ["new/model"]
    with engine.connect() as conn:
        assert rows(conn, state) == before
        assert rows(conn, "SELECT FROM offer WHERE name = 'new/model' OR NOT is_on") == []
        for table in ("plan", "decision", "parcel", "ledger", "result", "outbox"):
            assert rows(conn, f"SELECT FROM {table}") == []


def test_a_job_that_failed_over_before_keeps_what_is_held_for_it(engine: Engine) -> None:
    ready(engine, Wish())
    with engine.begin() as conn:
        conn.execute(
            text("UPDATE job SET reserved_nusd = 70, held_nusd = 70, booked_on = '2026-11-01'")
        )

    plan(engine)

    with engine.connect() as conn:
        job = one(conn, "SELECT * FROM job")
        entry = one(conn, "SELECT amount_nusd FROM ledger")
    assert (job.reserved_nusd, job.held_nusd) == (entry.amount_nusd + 70, 70)


NIGHTS = policy(night_crontab="0 22 * * *", night_s=3_600.0)
TONIGHT = datetime(2026, 11, 24, 22, tzinfo=UTC)


def test_jobs_for_the_night_are_planned_together_however_many(engine: Engine) -> None:
    wishes = [Wish(when=When.NIGHT) for _ in range(5)]
    ready(engine, *wishes, Wish())
    by = policy(night_crontab="0 22 * * *", window_jobs=2)

    assert plan_window(
        engine, kind=WindowKind.NIGHT, now=TONIGHT - timedelta(seconds=1), policy=NIGHTS,
        results_topic=TOPIC,
    ) is None  # fmt: skip
    assert plan(engine, kind=WindowKind.NIGHT, now=TONIGHT, by=by).planned == 5


def test_what_a_nights_money_does_not_cover_is_carried_to_the_next(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 0.006)
        add_jobs(conn, *[Wish(when=When.NIGHT, priority=priority) for priority in (3, 9)])

    outcome = plan(engine, kind=WindowKind.NIGHT, now=TONIGHT, by=NIGHTS)

    assert (outcome.planned, outcome.deferred) == (1, 1)
    with engine.begin() as conn:
        carried = one(conn, "SELECT * FROM job WHERE state = 'queued'")
        assert carried.priority == 3
        assert carried.not_before == TONIGHT + timedelta(days=1)
        assert carried.deferral_reason.startswith("no budget left in acme for November 2026")
        conn.execute(text("UPDATE budget SET limit_nusd = 1000000000"))
    again = plan(engine, kind=WindowKind.NIGHT, now=TONIGHT + timedelta(days=1), by=NIGHTS)
    assert again.planned == 1


def test_a_night_job_whose_deadline_comes_first_goes_on_by_day(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 0)
        noon = TONIGHT + timedelta(hours=14)
        add_jobs(conn, Wish(when=When.NIGHT, deadline=noon), Wish(when=When.NIGHT))

    plan(engine, kind=WindowKind.NIGHT, now=TONIGHT, by=NIGHTS)

    with engine.connect() as conn:
        day, night = rows(conn, "SELECT * FROM job ORDER BY id")
    assert (day.run_when, day.not_before) == ("now", TONIGHT + timedelta(seconds=60))
    assert (night.run_when, night.not_before) == ("night", TONIGHT + timedelta(days=1))


def test_a_person_who_asks_gets_all_that_is_queued(engine: Engine) -> None:
    later = NOON + timedelta(days=2)
    ready(engine, Wish(), Wish(when=When.NIGHT), Wish(not_before=later))

    assert plan(engine, kind=WindowKind.ASKED).planned == 3
