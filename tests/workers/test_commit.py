"""A commit of which nobody heard whether it was done."""

import psycopg
import pytest
from sqlalchemy import Engine

from scheduler.store.connect import open_engine
from tests.workers.audit import assert_books_are_right, count, job_states
from tests.workers.bench import desk_for, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import serving
from workers import loop


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
