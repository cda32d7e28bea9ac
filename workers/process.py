"""One worker process: an event loop in a thread, and a drain for each provider that has work."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine

from scheduler.domain.policy import WorkPolicy
from scheduler.interpreter import collect_rarely
from scheduler.store.calling import provider_id
from scheduler.store.parcels import waiting
from workers.desk import AccessTo, Desk, Place
from workers.drain import Drain
from workers.gathering import gather_threads
from workers.ids import new_ids
from workers.loop import run
from workers.providers.http import open_client

LOG = structlog.get_logger()


@dataclass(slots=True)
class Running:
    """A worker's loop, as the threads of Celery see it."""

    loop: asyncio.AbstractEventLoop
    floor: "Floor"

    def work(self, parcel_id: int, attempt: int) -> None:
        """Answer a bell: blocks until the provider's parcels are worked off, or others see to it.

        A bell for a parcel that was taken already ends at once.
        """
        asyncio.run_coroutine_threadsafe(self.floor.answer(parcel_id, attempt), self.loop).result()

    def stop(self) -> None:
        """Take no more; settle what is finished.  Does not block, so a signal may call it."""
        self.loop.call_soon_threadsafe(self.floor.desk.stopping.set)


class Floor:
    """The drains of one process; lives on its event loop."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._drained: set[str] = set()
        self._rung_again: set[str] = set()

    async def answer(self, parcel_id: int, attempt: int) -> None:
        """Drain the provider of that parcel, if it still waits and nobody here is at it."""

        def named(conn: Connection) -> str | None:
            return waiting(conn, parcel_id=parcel_id, attempt=attempt)

        provider = await self.desk.in_database(named)
        if provider is None or self.desk.stopping.is_set():
            return
        if provider in self._drained:
            # The drain may just have looked for the last time.
            self._rung_again.add(provider)
            return
        self._drained.add(provider)
        try:
            await self._drain(provider)
        finally:
            self._drained.discard(provider)

    async def _drain(self, provider: str) -> None:
        found = await self.desk.in_database(lambda conn: provider_id(conn, provider))
        assert found is not None
        while True:
            self._rung_again.discard(provider)
            drain = Drain(self.desk, provider_id=found, provider=provider, new_ids=new_ids)
            await drain.run(for_s=self.desk.policy.drain_s)
            if provider not in self._rung_again or self.desk.stopping.is_set():
                return


@contextmanager
def running(
    engine: Engine,
    *,
    access_to: AccessTo,
    policy: WorkPolicy,
    place: Place,
    one_processor: bool = True,
) -> Iterator[Running]:
    """A loop with a desk on it, in a thread of its own, until the block ends.

    *one_processor*: the process's threads may be kept on one, while that is better.
    """
    ready: list[Running] = []
    is_ready = threading.Event()
    failures: list[BaseException] = []

    async def live() -> None:
        async with open_client(concurrency=policy.concurrency) as client:
            desk = Desk(engine, client, access_to=access_to, policy=policy, place=place)
            ready.append(Running(asyncio.get_running_loop(), Floor(desk)))
            over = asyncio.Event()
            overs.append(over)
            is_ready.set()
            gathering = asyncio.create_task(gather_threads()) if one_processor else None
            await over.wait()
            if gathering is not None:
                gathering.cancel()
            desk.close()

    def thread() -> None:
        try:
            run(live())
        except BaseException as error:
            failures.append(error)
            is_ready.set()
            raise

    overs: list[asyncio.Event] = []
    collect_rarely()
    runner = threading.Thread(target=thread, name="loop")
    runner.start()
    is_ready.wait()
    if failures:
        raise failures[0]
    try:
        yield ready[0]
    finally:
        ready[0].stop()
        ready[0].loop.call_soon_threadsafe(overs[0].set)
        runner.join()
