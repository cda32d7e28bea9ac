"""An offer that fails again and again is left alone, by all workers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from scheduler.domain.breaker import Breaker, BreakerPolicy
from scheduler.store.breakers import read_breakers
from scheduler.store.offers import plan_offers, sync_catalog
from tests.workers.audit import assert_books_are_right, count, job_states
from tests.workers.bench import desk_for, policy, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import Reply, Stub, answer, error, serving
from workers import loop
from workers.breaking import Breakers, Run, share

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLICY = BreakerPolicy(failures_max=3, rest=timedelta(seconds=30))


def one_by_one(outcomes: list[bool]) -> Breaker:
    breaker = Breaker()
    for succeeded in outcomes:
        if succeeded:
            breaker = breaker.after_success()
        elif breaker.allows(NOON):
            breaker = breaker.after_failure(NOON, POLICY)
    return breaker


@given(st.lists(st.booleans(), max_size=12))
def test_a_run_says_what_its_calls_one_by_one_would(outcomes: list[bool]) -> None:
    run = Run()
    for succeeded in outcomes:
        run = run.after_success() if succeeded else run.after_failure("down")

    assert run.applied_to(Breaker(), now=NOON, policy=POLICY) == one_by_one(outcomes)


@given(st.lists(st.booleans(), max_size=12))
def test_a_process_sees_its_own_failures_before_it_has_shared_them(outcomes: list[bool]) -> None:
    breakers = Breakers(policy=POLICY)
    for succeeded in outcomes:
        if succeeded:
            breakers.succeeded(1)
        else:
            breakers.failed(1, "down")

    assert breakers.now(1, NOON) == one_by_one(outcomes)
    assert breakers.is_calm(1) == (one_by_one(outcomes).failures == 0)


def test_after_a_rest_an_offer_is_probed_until_it_does_well() -> None:
    rested = Breaker(failures=3, resting_until=NOON - timedelta(seconds=1))
    breakers = Breakers(policy=POLICY, shared={1: rested})

    assert breakers.is_probing(1, NOON)
    breakers.succeeded(1)
    assert not breakers.is_probing(1, NOON)


def test_one_failed_probe_rests_the_offer_again() -> None:
    rested = Breaker(failures=3, resting_until=NOON - timedelta(seconds=1))
    breakers = Breakers(policy=POLICY, shared={1: rested})

    breakers.failed(1, "still down")

    assert not breakers.now(1, NOON).allows(NOON)


def test_failures_that_could_not_be_shared_count_once() -> None:
    breakers = Breakers(policy=POLICY)
    breakers.failed(1, "down")
    breakers.failed(1, "down")

    shared, runs = breakers.shared, breakers.take_runs(NOON)
    assert breakers.now(1, NOON).failures == 2
    breakers.give_back(runs, shared=shared)

    assert breakers.now(1, NOON) == Breaker(failures=2)


@pytest.fixture
def offer_id(conn: Connection) -> int:
    sync_catalog(conn, [listing("acme/m")])
    return plan_offers(conn)[0].id


def test_failures_of_several_workers_add_up(conn: Connection, offer_id: int) -> None:
    for _ in range(3):
        run = {offer_id: Run(failures=1, error="down")}
        share(conn, run, known=[], now=NOON, policy=POLICY)

    [breaker] = read_breakers(conn, [offer_id]).values()
    assert breaker == Breaker(failures=3, resting_until=NOON + POLICY.rest)


def test_a_success_of_any_worker_forgets_the_failures(conn: Connection, offer_id: int) -> None:
    share(conn, {offer_id: Run(failures=2)}, known=[], now=NOON, policy=POLICY)
    share(conn, {offer_id: Run(succeeded=True)}, known=[], now=NOON, policy=POLICY)

    assert read_breakers(conn, [offer_id]) == {offer_id: Breaker()}


def test_calls_that_go_well_write_nothing(conn: Connection, offer_id: int) -> None:
    share(conn, {offer_id: Run(succeeded=True)}, known=[offer_id], now=NOON, policy=POLICY)

    assert count(conn, "breaker") == 0


def failing(model: str) -> Reply:
    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return error(503) if body["model"] == model else answer(stub, request, body)

    return reply


def test_a_resting_offer_is_called_no_more_and_its_jobs_move_at_once(engine: Engine) -> None:
    async def scene() -> Stub:
        async with serving(failing("small")) as stub:
            offers = [
                listing("acme/small", url=stub.url, concurrency=4),
                listing("acme/large", url=stub.url),
            ]
            with engine.begin() as conn:
                add_budget(conn, 100)
                plan(conn, wishes(100), listings=offers)
            limits = policy(breaker_failures=5, tries_max=1)
            async with desk_for(engine, offers, policy=limits) as desk:
                await work_off(desk, "acme")
            return stub

    stub = loop.run(scene())

    # Five failures in a row, and what was under way when they came.
    assert stub.models.count("small") <= 5 + 4
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 100}
        assert count(conn, "breaker", "resting_until > now()") == 1
        assert_books_are_right(conn)


def test_an_error_that_postgres_could_not_hold_ends_no_worker(engine: Engine) -> None:
    async def nul(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["model"] == "small":
            said = {"error": {"code": "overloaded", "message": "no\0thing"}}
            return web.json_response(said, status=503)
        return answer(stub, request, body)

    async def scene() -> None:
        async with serving(nul) as stub:
            offers = [listing("acme/small", url=stub.url), listing("acme/large", url=stub.url)]
            with engine.begin() as conn:
                add_budget(conn, 100)
                plan(conn, wishes(6), listings=offers)
            async with desk_for(engine, offers) as desk:
                await work_off(desk, "acme")

    loop.run(scene())

    with engine.begin() as conn:
        assert job_states(conn) == {"done": 6}
        assert count(conn, "breaker", "last_error LIKE '%nothing'") == 1
        assert_books_are_right(conn)


def test_what_one_worker_learned_keeps_the_next_from_calling(engine: Engine) -> None:
    async def scene() -> Stub:
        async with serving() as stub:
            offers = [listing("acme/small", url=stub.url), listing("acme/large", url=stub.url)]
            with engine.begin() as conn:
                add_budget(conn, 100)
                plan(conn, wishes(20), listings=offers)
                conn.execute(
                    text(
                        "INSERT INTO breaker (offer_id, failures, resting_until)"
                        " SELECT id, 5, now() + interval '1 h' FROM offer"
                        " WHERE name = 'acme/small'"
                    )
                )
            async with desk_for(engine, offers) as desk:
                await desk.learn()
                await work_off(desk, "acme")
            return stub

    stub = loop.run(scene())

    assert set(stub.models) == {"large"}


def twenty_jobs(engine: Engine, reply: Reply) -> Stub:
    """A worker does them within half a minute, by `small` first and then by `large`."""

    async def scene() -> Stub:
        async with serving(reply) as stub:
            offers = [
                listing("acme/small", url=stub.url, concurrency=1),
                listing("acme/large", url=stub.url),
            ]
            with engine.begin() as conn:
                add_budget(conn, 100)
                plan(conn, wishes(20), listings=offers)
            async with desk_for(engine, offers) as desk, asyncio.timeout(30):
                await work_off(desk, "acme")
            return stub

    return loop.run(scene())


def test_an_offer_that_only_a_person_can_mend_rests_at_once(engine: Engine) -> None:
    async def bad_key(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["model"] == "small":
            return error(401, code="invalid_api_key")
        return answer(stub, request, body)

    stub = twenty_jobs(engine, bad_key)

    assert stub.models.count("small") == 1
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 20}


def test_an_offer_that_asks_to_be_left_alone_for_an_hour_keeps_no_job_waiting(
    engine: Engine,
) -> None:
    async def used_up(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["model"] == "small":
            return error(429, code="rate_limit_exceeded", retry_after_s="3000")
        return answer(stub, request, body)

    stub = twenty_jobs(engine, used_up)

    assert stub.models.count("small") == 1
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 20}
        assert count(conn, "breaker", "resting_until > now() + interval '2900 s'") == 1
        assert count(conn, "pace", "requests_until > now() + interval '1 h'") == 0
        assert_books_are_right(conn)


def test_a_job_whose_offer_asked_for_a_pause_says_until_when(engine: Engine) -> None:
    assert "acme/small asked for a pause until 20" in why_put_off(
        engine, error(429, retry_after_s="3000")
    )


def test_a_job_whose_offer_failed_too_often_says_how_often(engine: Engine) -> None:
    assert "acme/small rests after 5 failures" in why_put_off(engine, error(503))


def why_put_off(engine: Engine, said: web.Response) -> str:
    """Why the last of a few jobs was put off whose one offer answers as *said*."""

    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=said.status, body=said.body, headers=said.headers)

    async def scene() -> None:
        async with serving(reply) as stub:
            offers = [listing("acme/small", url=stub.url, concurrency=1)]
            with engine.begin() as conn:
                add_budget(conn, 100)
                plan(conn, wishes(20), listings=offers)
            async with desk_for(engine, offers) as desk, asyncio.timeout(30):
                await work_off(desk, "acme")

    loop.run(scene())
    with engine.begin() as conn:
        last = text("SELECT deferral_reason FROM job ORDER BY id DESC LIMIT 1")
        return str(conn.execute(last).scalar_one())


def test_all_workers_know_that_an_offer_asked_for_its_pause(
    conn: Connection, offer_id: int
) -> None:
    hour = NOON + timedelta(hours=1)
    asked = Run(failures=1, asked_until=hour)
    share(conn, {offer_id: asked}, known=[], now=NOON, policy=POLICY)
    [breaker] = read_breakers(conn, [offer_id]).values()
    assert breaker.why() == "asked for a pause until 2026-11-24 13:00:00+00:00"

    share(conn, {offer_id: Run(failures=1)}, known=[], now=hour, policy=POLICY)

    [breaker] = read_breakers(conn, [offer_id]).values()
    assert breaker.why() == "rests after 4 failures"


def test_the_longest_time_that_a_provider_asked_for_counts() -> None:
    breakers = Breakers(policy=POLICY)
    hour, minute = NOON + timedelta(hours=1), NOON + timedelta(minutes=1)

    breakers.failed(1, "used up", asked_until=hour)
    breakers.failed(1, "used up", asked_until=minute)

    assert breakers.now(1, NOON).resting_until == hour
    assert breakers.is_probing(1, hour)
    breakers.succeeded(1)
    assert breakers.now(1, NOON) == Breaker()
