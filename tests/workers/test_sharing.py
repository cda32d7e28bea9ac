"""An offer's concurrency holds over all workers, however many there are, come and go."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Engine, text

from scheduler.domain.listing import Listing
from scheduler.store.shares import claim
from tests.workers.audit import job_states
from tests.workers.bench import desk_for, policy, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import Stub, answer, error, good, serving, until, when_told
from workers import loop
from workers.sharing import Room

WORKERS = ("a", "b", "c", "d")


async def slow(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    await asyncio.sleep(0.02)
    return answer(stub, request, body)


async def broken(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return error(404, code="model_not_found")


async def small_is_broken(
    stub: Stub, request: web.Request, body: dict[str, Any]
) -> web.StreamResponse:
    return await (broken if body["model"] == "small" else good)(stub, request, body)


async def work(engine: Engine, offers: list[Listing], worker: str, provider: str) -> None:
    """Let *worker*, a process's desk of its own, work off what *provider* has to do."""
    async with desk_for(engine, offers, worker=worker) as desk:
        await work_off(desk, provider)


@pytest.mark.parametrize("concurrency", [1, 3, 10])
def test_four_workers_make_no_more_calls_at_a_time_than_the_offer_takes(
    engine: Engine, concurrency: int
) -> None:
    async def scene() -> int:
        async with serving(when_told) as stub:
            offers = [listing("acme/m", url=stub.url, concurrency=concurrency)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(80), listings=offers, parcel_jobs=5)

            working = asyncio.gather(*(work(engine, offers, one, "acme") for one in WORKERS))
            await until(lambda: stub.in_flight == concurrency)
            stub.gate.set()
            await working
            return stub.most

    assert loop.run(scene()) == concurrency
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 80}


def test_a_worker_that_comes_gets_its_part_and_calls_that_were_begun_count_until_they_end(
    engine: Engine,
) -> None:
    async def scene() -> tuple[int, int]:
        async with serving(when_told) as stub:
            offers = [listing("acme/m", url=stub.url, concurrency=4)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(40), listings=offers, parcel_jobs=2)
            async with (
                desk_for(engine, offers, worker="a", policy=policy(concurrency=3)) as a,
                desk_for(engine, offers, worker="b") as b,
            ):
                first = asyncio.create_task(work_off(a, "acme"))
                await until(lambda: stub.in_flight == 3)
                second = asyncio.create_task(work_off(b, "acme"))
                # One place is not used by the first, and let go once it has heard of the second.
                await until(lambda: stub.in_flight == 4)
                most = stub.most
                stub.gate.set()
                await asyncio.gather(first, second)
            return most, stub.most

    assert loop.run(scene()) == (4, 4)


def test_a_place_that_a_worker_has_nothing_to_do_for_is_anothers_at_once(engine: Engine) -> None:
    async def scene() -> None:
        async with serving() as stub:
            offers = [listing("acme/m", url=stub.url, concurrency=1)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(4), listings=offers)
            async with desk_for(engine, offers, worker="a") as a:
                await work_off(a, "acme")
                with engine.begin() as conn:
                    assert conn.execute(text("SELECT count(*) FROM share")).scalar_one() == 0
                    plan(conn, wishes(4, start=4), listings=offers)
                async with desk_for(engine, offers, worker="b") as b:
                    await work_off(b, "acme")

    loop.run(scene())

    with engine.begin() as conn:
        assert job_states(conn) == {"done": 8}


def test_a_job_whose_offer_fails_does_not_wait_for_one_that_others_use_to_its_limit(
    engine: Engine,
) -> None:
    async def scene() -> list[str]:
        async with serving(small_is_broken) as stub:
            offers = [
                listing("first/small", url=stub.url),
                listing("second/full", url=stub.url, concurrency=1),
                listing("third/free", url=stub.url),
            ]
            with engine.begin() as conn:
                add_budget(conn, 10)
                made = plan(conn, wishes(4), listings=offers)
                full = {made.offers["second/full"].id: 0}
                claim(conn, full, worker="another", lasts=timedelta(minutes=1))
            async with desk_for(engine, offers) as desk:
                await work_off(desk, "first")
            return stub.models

    models = loop.run(scene())

    assert "full" not in models
    assert models.count("free") == 4
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 4}


def test_a_job_for_which_only_a_full_offer_is_left_goes_back_and_says_so(engine: Engine) -> None:
    async def scene() -> None:
        async with serving(broken) as stub:
            offers = [
                listing("first/small", url=stub.url),
                listing("second/full", url=stub.url, concurrency=1),
            ]
            with engine.begin() as conn:
                add_budget(conn, 10)
                made = plan(conn, wishes(1), listings=offers)
                full = {made.offers["second/full"].id: 0}
                claim(conn, full, worker="another", lasts=timedelta(minutes=1))
            async with desk_for(engine, offers) as desk:
                await work_off(desk, "first")

    loop.run(scene())

    with engine.begin() as conn:
        assert job_states(conn) == {"queued": 1}
        [reason] = conn.execute(text("SELECT deferral_reason FROM job")).scalars()
        assert "other workers make all calls that second/full takes at a time" in reason


def test_a_worker_that_fails_over_takes_its_part_of_the_other_offer_alone(engine: Engine) -> None:
    async def scene() -> int:
        async with serving(slow) as up, serving(broken) as down:
            offers = [
                listing("first/small", url=down.url),
                listing("second/large", url=up.url, concurrency=2),
            ]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(60), listings=offers, parcel_jobs=10)

            await asyncio.gather(*(work(engine, offers, one, "first") for one in WORKERS[:2]))
            return up.most

    assert loop.run(scene()) == 2
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 60}


def test_a_worker_that_cannot_renew_its_claim_begins_no_more_calls() -> None:
    room = Room(calls=3, until=time.monotonic() + 60)
    assert room.now() == 3

    room.until = time.monotonic()

    assert room.now() == 0
