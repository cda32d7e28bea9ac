"""A worker's desk in the test's own loop, on a real database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import Engine

from scheduler.domain.listing import Listing
from scheduler.domain.policy import Policy, WorkPolicy
from scheduler.store.calling import provider_id
from workers.desk import Desk, Place
from workers.drain import Drain
from workers.ids import new_ids
from workers.providers.http import open_client

TOPIC = "documents.results"
POLICY = WorkPolicy(flush_s=0.02, tries_s=5.0, tries_max=2, stop_s=2.0)


@asynccontextmanager
async def desk_for(
    engine: Engine,
    listings: Sequence[Listing],
    *,
    policy: WorkPolicy = POLICY,
    worker: str = "tester",
) -> AsyncIterator[Desk]:
    """A desk that may call *listings*."""
    access = {one.offer.name: one.access for one in listings}
    async with open_client(concurrency=policy.concurrency) as client:
        desk = Desk(
            engine,
            client,
            access_to=lambda: access,
            policy=policy,
            place=Place(
                worker=worker,
                stream=f"work-{worker}",
                policy=Policy(work=policy).digest().hex(),
                topic=TOPIC,
                wait_s=60.0,
                wait_most_s=90.0,
            ),
        )
        try:
            yield desk
        finally:
            desk.close()


async def work_off(desk: Desk, provider: str, *, for_s: float = 60.0) -> None:
    """Do all of *provider*'s ready parcels."""
    found = await desk.in_database(lambda conn: provider_id(conn, provider))
    assert found is not None
    await Drain(desk, provider_id=found, provider=provider, new_ids=new_ids).run(for_s=for_s)


def policy(**figures: float) -> WorkPolicy:
    return replace(POLICY, **figures)  # type: ignore[arg-type]
