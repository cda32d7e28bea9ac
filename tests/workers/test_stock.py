"""A drain's jobs before their calls: leased and read side by side."""

import asyncio

from sqlalchemy import Engine, text

from scheduler.store.calling import provider_id
from tests.workers.bench import desk_for, policy
from tests.workers.planned import add_budget, listing, plan, wishes
from workers import loop
from workers.drain import LOG
from workers.inhand import Turn
from workers.stock import Stock


def test_what_is_leased_is_read_while_more_is_leased(engine: Engine) -> None:
    offers = [listing("acme/m", url="http://127.0.0.1:9/v1")]
    with engine.begin() as conn:
        add_budget(conn, 10)
        plan(conn, wishes(10), listings=offers, parcel_jobs=5)
        provider = provider_id(conn, "acme")
    assert provider is not None
    ended: list[Turn] = []

    async def scene() -> tuple[int, int]:
        # So few that one parcel is leased at a time, and more than one is wanted.
        async with desk_for(engine, offers, policy=policy(flush_jobs=10)) as desk:
            stock = Stock(desk, provider_id=provider, log=LOG, ended=ended.append)
            desk.sharing.users.append(stock)
            await stock.lease()
            [supply] = stock.supplies.values()
            with engine.begin() as door:
                # A lease ends with reading what was decided for its jobs.
                door.execute(text("LOCK TABLE decision IN ACCESS EXCLUSIVE MODE"))
                leasing = asyncio.create_task(stock.lease())
                await asyncio.wait_for(stock.read(), 10)
                before = len(supply.ready)
                assert not leasing.done()
            await leasing
            await stock.read()
            return before, len(supply.ready)

    assert loop.run(scene()) == (5, 10)
    assert ended == []
