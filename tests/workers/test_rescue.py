"""Parcels whose worker is gone, and workers that come back after their parcel is."""

import asyncio
import json
import threading
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Connection, Engine, text

from scheduler.domain.listing import Listing
from scheduler.planning.rescue import rescue_all
from scheduler.store.evidence import records
from scheduler.store.parcels import Leased, lease_parcels
from scheduler.store.settlement import PurseDiffers
from tests.workers.audit import assert_books_are_right, count, job_states, total_nusd
from tests.workers.bench import desk_for, policy, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import Stub, serving, until, when_told
from workers import drain, loop, stock
from workers.flush import Batch, Flushed, House, flush


def planned(engine: Engine, jobs: int, offers: list[Listing]) -> None:
    """That many jobs in one parcel, for the first of *offers*, under a budget that covers them."""
    with engine.begin() as conn:
        add_budget(conn, 10)
        plan(conn, wishes(jobs), listings=offers)


def expire_leases(engine: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE parcel SET lease_expires_at = now() - interval '1 s'"
                " WHERE state = 'running'"
            )
        )


def leases_of(engine: Engine) -> list[tuple[str, int]]:
    with engine.begin() as conn:
        return [tuple(row) for row in conn.execute(text("SELECT state, attempt FROM parcel"))]


def assert_done_and_paid_twice(conn: Connection) -> None:
    """All six jobs have the second lease's answers; what the first one's cost is waste."""
    assert job_states(conn) == {"done": 6}
    winners = conn.execute(
        text("SELECT DISTINCT fence FROM result JOIN attempt ON attempt.id = attempt_id")
    )
    assert winners.scalars().all() == [2]
    assert total_nusd(conn, "waste") == total_nusd(conn, "posting") > 0
    assert_books_are_right(conn)


async def called(stub: Stub, calls: int) -> None:
    await until(lambda: len(stub.keys) >= calls)


def test_a_late_report_is_dropped_and_its_bill_is_posted(engine: Engine) -> None:
    async def scene() -> None:
        async with serving(when_told) as late, serving() as quick:
            slow, fast = listing("acme/m", url=late.url), listing("acme/m", url=quick.url)
            planned(engine, 6, [slow])
            async with (
                desk_for(engine, [slow], worker="late") as at_late,
                desk_for(engine, [fast], worker="quick") as at_quick,
            ):
                working = asyncio.create_task(work_off(at_late, "acme"))
                await called(late, 6)
                expire_leases(engine)
                found = rescue_all(engine)
                assert (found.ready, found.unknown_attempts) == (1, 6)
                await work_off(at_quick, "acme")
                late.gate.set()
                await working
            return

    loop.run(scene())

    with engine.begin() as conn:
        assert count(conn, "attempt", "state = 'unknown'") == 0
        assert_done_and_paid_twice(conn)


def test_a_worker_that_gets_its_lost_parcel_again_drops_its_own_late_reports(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    are_out = threading.Event()

    def rescued_before(conn: Connection, **asked: Any) -> list[Leased]:
        # The worker itself is the first to ask, before it has heard that it lost anything.
        if are_out.is_set():
            are_out.clear()
            expire_leases(engine)
            assert rescue_all(engine).ready == 1
        return lease_parcels(conn, **asked)

    async def scene() -> None:
        async with serving(when_told) as stub:
            offers = [listing("acme/m", url=stub.url)]
            planned(engine, 6, offers)
            monkeypatch.setattr(stock, "lease_parcels", rescued_before)
            async with desk_for(engine, offers, policy=policy(lease_s=0.6)) as desk:
                working = asyncio.create_task(work_off(desk, "acme"))
                await called(stub, 6)
                are_out.set()
                await called(stub, 12)
                stub.gate.set()
                await working

    loop.run(scene())

    assert leases_of(engine) == [("done", 2)]
    with engine.begin() as conn:
        assert_done_and_paid_twice(conn)


def test_a_bill_that_is_posted_while_the_job_is_done_again_is_in_its_cost(engine: Engine) -> None:
    async def scene() -> None:
        async with serving(when_told) as late, serving(when_told) as quick:
            slow, fast = listing("acme/m", url=late.url), listing("acme/m", url=quick.url)
            planned(engine, 3, [slow])
            async with (
                desk_for(engine, [slow], worker="late") as at_late,
                desk_for(engine, [fast], worker="quick") as at_quick,
            ):
                first = asyncio.create_task(work_off(at_late, "acme"))
                await called(late, 3)
                expire_leases(engine)
                rescue_all(engine)
                second = asyncio.create_task(work_off(at_quick, "acme"))
                await called(quick, 3)
                late.gate.set()
                await first
                quick.gate.set()
                await second

    loop.run(scene())

    with engine.begin() as conn:
        assert job_states(conn) == {"done": 3}
        assert total_nusd(conn, "waste") > 0
        whole = "result.cost_nusd = job.spent_nusd"
        assert count(conn, "result JOIN job ON job.id = result.job_id", whole) == 3
        assert count(conn, "outbox", "payload::jsonb ->> 'cost_unknown_usd' = '0'") == 3
        assert_books_are_right(conn)


def test_calls_that_wait_are_not_made_once_their_parcel_is_anothers(engine: Engine) -> None:
    async def scene() -> tuple[int, int]:
        async with serving(when_told) as late, serving() as quick:
            slow = listing("acme/m", url=late.url, concurrency=8)
            fast = listing("acme/m", url=quick.url)
            planned(engine, 6, [slow])
            few = policy(lease_s=0.6, concurrency=4)
            async with (
                desk_for(engine, [slow], worker="late", policy=few) as at_late,
                desk_for(engine, [fast], worker="quick") as at_quick,
            ):
                # Once it has leased it leases no more: the parcel is for the other one.
                leasing_s = 0.5
                working = asyncio.create_task(work_off(at_late, "acme", for_s=leasing_s))
                await called(late, 4)
                await asyncio.sleep(leasing_s)
                expire_leases(engine)
                noted = rescue_all(engine).unknown_attempts
                await work_off(at_quick, "acme")
                await until(lambda: not any(one.waiting for one in at_late.channels()))
                late.gate.set()
                await working
            return noted, len(late.keys)

    noted, made = loop.run(scene())

    assert made == 4 < noted
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 6}
        # Of those that were not made it is known, too, that they cost nothing.
        assert count(conn, "attempt", "state = 'failed' AND cost_nusd = 0") == noted - made
        assert count(conn, "attempt", "state = 'unknown'") == 0
        assert_books_are_right(conn)


def test_calls_that_wait_are_not_made_once_nobody_can_settle_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(conn: Connection, batch: Batch, house: House) -> Flushed:
        if batch.turns:
            raise PurseDiffers(expected=1, found=0)
        return flush(conn, batch, house)

    async def scene() -> tuple[int, int]:
        async with serving() as stub:
            offers = [listing("acme/m", url=stub.url, requests_per_minute=120)]
            planned(engine, 60, offers)
            monkeypatch.setattr(drain, "flush", broken)
            async with desk_for(engine, offers) as desk:
                with pytest.raises(PurseDiffers):
                    await work_off(desk, "acme")
                return len(stub.keys), sum(one.waiting for one in desk.channels())

    made, waiting = loop.run(scene())

    assert made < 60
    assert waiting == 0


def test_a_call_whose_worker_died_keeps_its_money_until_it_is_resolved(engine: Engine) -> None:
    async def scene() -> None:
        async with serving(when_told) as stub:
            offers = [listing("acme/m", url=stub.url)]
            planned(engine, 6, offers)
            async with desk_for(engine, offers) as desk:
                working = asyncio.create_task(work_off(desk, "acme"))
                await called(stub, 6)
                working.cancel()  # as a killed worker: nothing more is heard of it
            expire_leases(engine)
            rescue_all(engine)

    loop.run(scene())

    assert leases_of(engine) == [("ready", 1)]
    with engine.begin() as conn:
        assert count(conn, "attempt", "state = 'unknown'") == 6
        assert count(conn, "job", "state = 'planned' AND held_nusd = reserved_nusd") == 6
        assert_books_are_right(conn)


def test_a_lease_is_renewed_for_as_long_as_its_worker_lives(engine: Engine) -> None:
    async def scene() -> None:
        async with serving(when_told) as stub:
            offers = [listing("acme/m", url=stub.url)]
            planned(engine, 2, offers)
            async with desk_for(engine, offers, policy=policy(lease_s=0.6)) as desk:
                working = asyncio.create_task(work_off(desk, "acme"))
                await called(stub, 2)
                first = expiry(engine)
                await until(lambda: expiry(engine) > first)
                stub.gate.set()
                await working

    loop.run(scene())

    assert leases_of(engine) == [("done", 1)]


def expiry(engine: Engine) -> Any:
    with engine.begin() as conn:
        return conn.execute(text("SELECT lease_expires_at FROM parcel")).scalar_one()


def test_a_parcel_that_killed_every_worker_goes_back_to_the_queue(engine: Engine) -> None:
    offers = [listing("acme/m", url="http://127.0.0.1:9/v1")]
    with engine.begin() as conn:
        add_budget(conn, 10)
        plan(conn, wishes(3), listings=offers, attempt_limit=1)
        conn.execute(
            text(
                "UPDATE parcel SET state = 'running', attempt = 1, held_by = 'x',"
                " lease_expires_at = now() - interval '1 s'"
            )
        )

    found = rescue_all(engine)

    assert (found.dead, found.ready, found.jobs_given_back) == (1, 0, 3)
    with engine.begin() as conn:
        assert job_states(conn) == {"queued": 3}
        assert count(conn, "job", "reserved_nusd = 0 AND deferrals = 1") == 3
        assert_books_are_right(conn)
        [(record, _)] = records(conn, stream="rescue")
        [parcel] = conn.execute(text("SELECT id FROM parcel")).scalars()
        jobs = conn.execute(text("SELECT id FROM job ORDER BY id")).scalars().all()
    said = json.loads(record.body)
    assert (said["parcel"], said["worker"], said["calls"]) == (parcel, "x", [])
    assert sorted(said["returned"]) == [[job, []] for job in jobs]


def test_a_lease_that_still_runs_is_left_alone(engine: Engine) -> None:
    offers = [listing("acme/m", url="http://127.0.0.1:9/v1")]
    planned(engine, 1, offers)
    with engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE parcel SET state = 'running', attempt = 1, held_by = 'x',"
                " lease_expires_at = now() + interval '10 s'"
            )
        )

    found = rescue_all(engine)

    assert (found.dead, found.ready) == (0, 0)
    assert leases_of(engine) == [("running", 1)]


def test_what_was_tried_before_a_worker_died_is_not_tried_again(engine: Engine) -> None:
    async def refuse_small(
        stub: Stub, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        if body["model"] == "small":
            return web.json_response({"error": {"code": "bad"}}, status=400)
        return await when_told(stub, request, body)

    async def scene() -> Stub:
        async with serving(refuse_small) as stub:
            offers = [listing("acme/small", url=stub.url), listing("acme/large", url=stub.url)]
            planned(engine, 4, offers)
            async with desk_for(engine, offers) as desk:
                working = asyncio.create_task(work_off(desk, "acme"))
                await called(stub, 8)
                working.cancel()
            expire_leases(engine)
            rescue_all(engine)
            stub.gate.set()
            stub.models.clear()
            async with desk_for(engine, offers) as desk:
                await work_off(desk, "acme")
            return stub

    stub = loop.run(scene())

    assert set(stub.models) == {"large"}
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 4}
        assert_books_are_right(conn)


def test_a_worker_that_is_told_to_stop_settles_and_gives_back_the_rest(engine: Engine) -> None:
    async def scene() -> Stub:
        async with serving(when_told) as stub:
            offers = [listing("acme/m", url=stub.url, concurrency=4)]
            planned(engine, 50, offers)
            async with desk_for(engine, offers) as desk:
                working = asyncio.create_task(work_off(desk, "acme"))
                await called(stub, 4)
                desk.stopping.set()
                stub.gate.set()
                await working
            return stub

    stub = loop.run(scene())

    assert leases_of(engine) == [("ready", 1)]
    with engine.begin() as conn:
        assert job_states(conn) == {"done": len(stub.keys), "planned": 50 - len(stub.keys)}
        assert count(conn, "attempt", "state = 'unknown'") == 0
        assert count(conn, "parcel", "attempt_limit = 6 AND ring_at <= now()") == 1
        assert_books_are_right(conn)


def test_a_call_that_does_not_end_before_the_worker_must_is_unknown(engine: Engine) -> None:
    async def scene() -> None:
        async with serving(when_told) as stub:
            offers = [listing("acme/m", url=stub.url, concurrency=4)]
            planned(engine, 10, offers)
            async with desk_for(engine, offers, policy=policy(stop_s=0.1)) as desk:
                working = asyncio.create_task(work_off(desk, "acme"))
                await called(stub, 4)
                desk.stopping.set()
                await working

    loop.run(scene())

    assert leases_of(engine) == [("ready", 1)]
    with engine.begin() as conn:
        assert count(conn, "attempt", "state = 'unknown'") == 4
        assert_books_are_right(conn)
