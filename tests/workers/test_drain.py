"""A drain goes on leasing and reading while what was done is written."""

import asyncio

from sqlalchemy import Engine, text

from tests.workers.audit import assert_books_are_right, job_states
from tests.workers.bench import desk_for, policy, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import serving, until
from workers import loop

PARCELS = 10


def test_more_is_leased_while_a_flush_is_under_way(engine: Engine) -> None:
    def leased() -> bool:
        with engine.connect() as conn:
            running = text("SELECT count(*) FROM parcel WHERE state = 'running'")
            return conn.execute(running).scalar_one() == PARCELS

    async def scene() -> None:
        async with serving() as stub:
            offers = [listing("acme/m", url=stub.url)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(2 * PARCELS), listings=offers, parcel_jobs=2)
            # So few that one parcel is leased at a time.
            async with desk_for(engine, offers, policy=policy(flush_jobs=10)) as desk:
                with engine.begin() as door:
                    # The first flush cannot note its calls.
                    door.execute(text("LOCK TABLE attempt IN ACCESS EXCLUSIVE MODE"))
                    working = asyncio.create_task(work_off(desk, "acme"))
                    await until(leased)
                    assert not stub.keys
                await working

    loop.run(scene())
    with engine.connect() as conn:
        assert job_states(conn) == {"done": 2 * PARCELS}
        assert_books_are_right(conn)
