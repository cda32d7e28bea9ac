"""A commit of which nobody heard whether it was done."""

import asyncio
from typing import Any

import psycopg
import pytest
from aiohttp import web
from sqlalchemy import Connection, Engine, text

from scheduler.planning.rescue import rescue_all
from scheduler.store.connect import open_engine
from tests.workers.audit import assert_books_are_right, count, job_states
from tests.workers.bench import desk_for, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import Stub, answer, serving
from tests.workers.test_rescue import expire_leases
from workers import drain, loop
from workers.flush import Batch, Flushed, House, flush


@pytest.mark.parametrize("is_done", [True, False])
def test_a_commit_that_nobody_confirmed_takes_effect_once(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    workers = open_engine(database_url)
    commit = workers.dialect.do_commit
    lost = [2, 5, 9]  # which commits the connection breaks at
    commits = 0

    def commit_and_break(connection: object) -> None:
        nonlocal commits
        commits += 1
        if commits not in lost:
            commit(connection)  # type: ignore[arg-type]
            return
        if is_done:
            commit(connection)  # type: ignore[arg-type]
        else:
            connection.rollback()  # type: ignore[attr-defined]
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def scene() -> int:
        async with serving() as stub:
            offers = [listing("acme/m", url=stub.url)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(40), listings=offers, parcel_jobs=10)
            monkeypatch.setattr(workers.dialect, "do_commit", commit_and_break)
            async with desk_for(workers, offers) as desk:
                await work_off(desk, "acme")
            return len(stub.keys)

    calls = loop.run(scene())
    workers.dispose()

    assert commits > max(lost)
    assert calls == 40
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 40}
        assert count(conn, "attempt") == 40
        assert_books_are_right(conn)


def test_a_rescue_before_the_second_try_is_not_taken_for_the_first_ones_commit(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease runs out while Postgres is away: calls that were never noted must not go out."""
    workers = open_engine(database_url)
    commit = workers.dialect.do_commit
    broken: list[Batch] = []
    flushing: list[Batch] = []

    def flush_and_tell(conn: Connection, batch: Batch, house: House) -> Flushed:
        flushing[:] = [batch]
        return flush(conn, batch, house)

    def commit_and_break(connection: object) -> None:
        if broken or not flushing or not (flushing[0].turns and flushing[0].nexts):
            commit(connection)  # type: ignore[arg-type]
            return
        broken.append(flushing[0])
        connection.rollback()  # type: ignore[attr-defined]
        expire_leases(engine)
        rescue_all(engine)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def in_a_while(
        stub: Stub, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        # So that the next calls are ready to be noted when these are settled.
        await asyncio.sleep(0.05)
        return answer(stub, request, body)

    async def scene() -> set[str]:
        async with serving(in_a_while) as stub:
            offers = [listing("acme/m", url=stub.url, concurrency=4)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(40), listings=offers)
            monkeypatch.setattr(drain, "flush", flush_and_tell)
            monkeypatch.setattr(workers.dialect, "do_commit", commit_and_break)
            async with desk_for(workers, offers) as desk:
                await work_off(desk, "acme")
            return set(stub.keys)

    calls = loop.run(scene())
    workers.dispose()

    assert len(broken) == 1
    with engine.begin() as conn:
        noted = {str(one) for one in conn.execute(text("SELECT id FROM attempt")).scalars()}
        assert calls <= noted
        assert job_states(conn) == {"done": 40}
        # What the worker knew of calls that were no longer its own is posted all the same.
        assert count(conn, "attempt", "state = 'unknown'") == 0
        assert_books_are_right(conn)
