"""One rate limit for all workers, in Postgres; and what each keeps of it for itself."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from scheduler.store.offers import plan_offers, sync_catalog
from scheduler.store.pace import Limit, hold, take
from tests.workers.audit import job_states
from tests.workers.bench import desk_for, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import Stub, answer, serving
from workers import desk, loop
from workers.pace import Pacer, slice_for

PER_SECOND = Limit(requests_per_minute=60, tokens_per_minute=6_000, burst_s=0)


@pytest.fixture
def offer_id(conn: Connection) -> int:
    sync_catalog(conn, [listing("acme/m")])
    return plan_offers(conn)[0].id


def test_a_slice_begins_where_the_one_before_ends(conn: Connection, offer_id: int) -> None:
    waits = [
        take(conn, offer_id=offer_id, limit=PER_SECOND, requests=10, tokens=10) for _ in range(3)
    ]

    assert [round(wait) for wait in waits] == [0, 10, 20]


def test_tokens_are_limited_like_requests(conn: Connection, offer_id: int) -> None:
    take(conn, offer_id=offer_id, limit=PER_SECOND, requests=1, tokens=3_000)

    wait_s = take(conn, offer_id=offer_id, limit=PER_SECOND, requests=1, tokens=1)

    assert round(wait_s) == 30


def test_a_pause_is_made_good_only_as_far_as_the_burst(conn: Connection, offer_id: int) -> None:
    take(conn, offer_id=offer_id, limit=PER_SECOND, requests=1, tokens=1)
    conn.execute(
        text(
            "UPDATE pace SET requests_until = now() - interval '1 h',"
            " tokens_until = now() - interval '1 h'"
        )
    )
    limit = Limit(requests_per_minute=60, tokens_per_minute=6_000, burst_s=5)

    waits = [take(conn, offer_id=offer_id, limit=limit, requests=1, tokens=1) for _ in range(8)]

    assert sum(wait <= 0.01 for wait in waits) == 6


def test_nobody_takes_a_slice_before_the_time_that_the_provider_named(
    conn: Connection, offer_id: int
) -> None:
    hold(conn, offer_id=offer_id, wait_s=30)

    wait_s = take(conn, offer_id=offer_id, limit=PER_SECOND, requests=1, tokens=1)

    assert 29 < wait_s <= 30


@given(st.integers(1, 10**6), st.integers(1, 10**7), st.integers(1, 5_000), st.integers(0, 10**5))
def test_a_slice_is_what_is_needed_if_half_a_second_lets_that_through(
    requests: int, tokens: int, waiting: int, tokens_each: int
) -> None:
    limit = Limit(requests_per_minute=requests, tokens_per_minute=tokens)

    taken = slice_for(limit, waiting=waiting, tokens_each=tokens_each)

    spare = min(requests / 3_000, tokens / 3_000 / max(tokens_each, 1))
    assert 1 <= taken.requests <= max(waiting, spare)
    assert taken.requests >= min(waiting, int(spare))
    assert taken.requests == 1 or taken.requests <= requests / 120
    assert taken.requests == 1 or taken.tokens <= tokens / 120
    assert taken.tokens == taken.requests * tokens_each


def test_a_slice_is_more_than_is_needed_where_that_keeps_nobody_waiting() -> None:
    limit = Limit(requests_per_minute=60_000, tokens_per_minute=10**9)
    assert slice_for(limit, waiting=1, tokens_each=100).requests == 20


def test_calls_wait_until_their_slice_begins() -> None:
    slept: list[float] = []

    async def scene() -> int:
        async def take(requests: int, tokens: int) -> float:
            return 3.0

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        ready = asyncio.Event()
        limit = Limit(requests_per_minute=1_200, tokens_per_minute=10**9)
        pacer = Pacer(lambda: limit, take=take, then=ready.set, sleep=sleep)
        assert not pacer.try_pass(1, waiting=100)
        await ready.wait()
        passed = 0
        while pacer.try_pass(1, waiting=100):
            passed += 1
        return passed

    assert loop.run(scene()) == 10
    assert slept[:1] == [3.0]


class Line:
    """A pacer of ten calls a slice, and the shared line that it takes them from: free, or shut."""

    def __init__(self) -> None:
        self.takes: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.filled = asyncio.Event()
        limit = Limit(requests_per_minute=1_200, tokens_per_minute=10**9)
        self.pacer = Pacer(lambda: limit, take=self._take, then=self.filled.set)

    async def _take(self, requests: int, tokens: int) -> float:  # noqa: ARG002 - a pacer's
        self.takes.append(requests)
        await self.open.wait()
        return 0.0

    async def fill(self, *, waiting: int) -> None:
        """Wait until a first slice for *waiting* calls is here."""
        assert not self.pacer.try_pass(1, waiting=waiting)
        await self.filled.wait()
        self.filled.clear()


def test_more_is_asked_for_before_a_slice_is_used_up() -> None:
    async def scene() -> None:
        line = Line()
        await line.fill(waiting=100)
        line.open.clear()
        for waiting in range(100, 94, -1):
            assert line.pacer.try_pass(1, waiting=waiting)
        await asyncio.sleep(0)
        assert line.takes == [10, 10]
        for waiting in range(94, 90, -1):
            assert line.pacer.try_pass(1, waiting=waiting)
        assert not line.pacer.try_pass(1, waiting=90)
        line.open.set()
        await line.filled.wait()
        assert line.pacer.try_pass(1, waiting=90)

    loop.run(scene())


def test_no_more_is_asked_for_where_the_slice_is_enough() -> None:
    async def scene() -> None:
        line = Line()
        await line.fill(waiting=4)
        for waiting in range(4, 0, -1):
            assert line.pacer.try_pass(1, waiting=waiting)
        await asyncio.sleep(0)
        assert line.takes == [4]

    loop.run(scene())


def test_a_slice_that_was_asked_for_before_the_provider_wanted_fewer_is_not_used() -> None:
    async def scene() -> None:
        line = Line()
        line.open.clear()
        assert not line.pacer.try_pass(1, waiting=100)
        await asyncio.sleep(0)
        line.pacer.drop()
        line.open.set()
        await line.filled.wait()
        assert not line.pacer.try_pass(1, waiting=100)

    loop.run(scene())


def test_workers_together_keep_to_the_offers_limit(engine: Engine) -> None:
    times: list[float] = []

    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        return answer(stub, request, body)

    async def scene() -> None:
        async with serving(reply) as stub:
            # 40 calls a second, and a second's worth of burst.
            offers = [listing("acme/m", url=stub.url, requests_per_minute=2_400)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(200), listings=offers, parcel_jobs=30)
            async with (
                desk_for(engine, offers, worker="a") as a,
                desk_for(engine, offers, worker="b") as b,
            ):
                await asyncio.gather(work_off(a, "acme"), work_off(b, "acme"))

    loop.run(scene())

    with engine.begin() as conn:
        assert job_states(conn) == {"done": 200}
    times.sort()
    # In no second are there more than the rate, the burst, and the two workers' slices.
    for first, start in enumerate(times):
        within = sum(start <= time < start + 1 for time in times[first:])
        assert within <= 40 + 40 + 2 * 20
    assert times[-1] - times[0] >= (200 - 40 - 40) / 40


def test_a_limit_that_is_changed_holds_for_workers_that_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def told(conn: Connection, *, limit: Limit, **what: int) -> float:
        asked.append(limit.requests_per_minute)
        return take(conn, limit=limit, **what)

    async def lower(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        with engine.begin() as conn:
            conn.execute(text("UPDATE offer SET requests_per_minute = 6_000"))
        return answer(stub, request, body)

    async def scene() -> None:
        async with serving(lower) as stub:
            offers = [listing("acme/m", url=stub.url, requests_per_minute=60_000, concurrency=2)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(60), listings=offers)
            async with desk_for(engine, offers) as at_desk:
                await work_off(at_desk, "acme")

    monkeypatch.setattr(desk, "CATALOG_S", 0.0)
    monkeypatch.setattr(desk.pace, "take", told)
    loop.run(scene())

    assert asked[0] == 60_000
    assert asked[-1] == 6_000
