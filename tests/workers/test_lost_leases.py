"""Leases that are lost at random, under workers that go on: the books are right all the same."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from scheduler.store.rescue import rescue_parcels
from scheduler.store.resolution import Resolution, list_unknown, resolve_late
from tests.workers.audit import assert_books_are_right, count, job_states
from tests.workers.bench import desk_for, policy, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import Stub, answer, error, serving
from workers import loop

JOBS = 2_000
ENOUGH = 20
"""Leases that are lost in a scene, at least."""
PLENTY = 150
"""After so many, fate rests: on a slow machine the work would hardly get on."""

_EXPIRE_ONE = text("""
    UPDATE parcel SET lease_expires_at = now() - interval '1 s'
    WHERE id = (SELECT id FROM parcel WHERE state = 'running'
                ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)
""")
_CUT_ONE = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND application_name <> 'fate'
    ORDER BY random() LIMIT 1
""")


async def moody(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Three answers in four are good; the others fail in every way that a provider knows."""
    mood = random.random()
    await asyncio.sleep(random.random() * 0.1)
    if mood < 0.05:
        return error(429, code="rate_limit", retry_after_s="0.01")
    if mood < 0.10:
        return error(500)
    if mood < 0.13:
        return error(400, code="content_filter")
    made = answer(stub, request, body, finish="length" if mood < 0.16 else "stop")
    if mood < 0.20:
        return web.Response(text="{", content_type="application/json")
    if mood < 0.25 and request.transport is not None:
        request.transport.abort()
    return made


class Fate:
    """Takes leases away, rescues at once, cuts sessions, and resolves what is unknown."""

    def __init__(self, engine: Engine) -> None:
        self.lost = 0
        self._engine = engine
        self._over = threading.Event()

    @property
    def rests(self) -> bool:
        return self.lost >= PLENTY

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        while not (self.rests or self._over.wait(random.random() * 0.05)):
            with self._engine.begin() as conn:
                self._strike(conn)

    def _strike(self, conn: Connection) -> None:
        kind = random.random()
        if kind < 0.7:
            conn.execute(_EXPIRE_ONE)
            self.lost += rescue_parcels(conn, limit=10).ready
        elif kind < 0.9:
            for one in list_unknown(conn, limit=1):
                cost_nusd = random.choice([0, one.reserved_nusd // 2, 2 * one.reserved_nusd])
                said = Resolution(attempt_id=one.id, cost_nusd=cost_nusd)
                # Its worker may have come first.
                resolve_late(conn, [said], by="finance")
        else:
            conn.execute(_CUT_ONE)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_that_lose_leases_at_random_keep_the_books_right(
    engine: Engine, workers: int
) -> None:
    # Of sessions that nobody cuts, and that wait for a flush of a machine that is busy.
    patient = {"application_name": "fate", "options": "-c lock_timeout=30s"}
    above = create_engine(engine.url, poolclass=NullPool, connect_args=patient)

    async def scene() -> tuple[set[str], int]:
        async with serving(moody) as stub:
            offers = [listing("acme/m", url=stub.url, timeout_s=2.0, concurrency=20 * workers)]
            with engine.begin() as conn:
                plan(conn, wishes(JOBS), listings=offers, parcel_jobs=25, attempt_limit=1_000)
            fate = Fate(above)
            with fate.at_work():
                names = [f"worker-{n}" for n in range(workers)]
                await asyncio.gather(*(work(name, offers, fate) for name in names))
            return set(stub.billed), fate.lost

    async def work(name: str, offers: list[Any], fate: Fate) -> None:
        until = time.monotonic() + 240
        while is_left():
            assert time.monotonic() < until
            rough = policy(
                lease_s=30.0 if fate.rests else 0.6,
                claim_s=1.0,
                concurrency=20,
                flush_jobs=200,
                breaker_failures=1_000,
                job_attempts_max=100,
            )
            async with desk_for(engine, offers, worker=name, policy=rough) as desk:
                await work_off(desk, "acme")

    def is_left() -> bool:
        with above.begin() as conn:
            rescue_parcels(conn, limit=1_000)
            return count(conn, "parcel", "state IN ('ready', 'running')") > 0

    with engine.begin() as conn:
        # The plan takes nearly all of it: little is left for bills beyond what was set aside.
        add_budget(conn, JOBS * 0.0034275)
    billed, lost = loop.run(scene())

    assert lost >= ENOUGH
    with engine.begin() as conn:
        states = job_states(conn)
        assert states.keys() <= {"done", "failed", "queued"}
        assert states["done"] > JOBS / 2
        assert_books_are_right(conn)
        noted = set(conn.execute(text("SELECT id::text FROM attempt")).scalars())
        assert billed <= noted
