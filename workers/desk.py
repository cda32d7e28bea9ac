"""What all the work of one process shares: the offers it can call, and the way to Postgres."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import aiohttp
import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.breaker import Breaker, BreakerPolicy
from scheduler.domain.listing import ProviderAccess
from scheduler.domain.option import Option
from scheduler.domain.policy import WorkPolicy
from scheduler.store import pace
from scheduler.store.calling import CalledOffer, Price, read_offers, read_prices
from scheduler.store.passing import first_line, is_passing
from workers.breaking import Breakers, share
from workers.channel import Channel, InFlight
from workers.flush import House
from workers.pace import Pacer
from workers.providers.registry import adapter_for
from workers.settle import Names
from workers.sharing import Sharing

LOG = structlog.get_logger()
T = TypeVar("T")

DATABASE_THREADS = 4
AWAY_FIRST_S, AWAY_MOST_S = 0.2, 10.0
CATALOG_S = 10.0
"""How old the offers' rows may be: an offer that was turned off is called no longer than this."""

COMPARE_S = 1.0
"""How often a worker hears from the others while all goes well."""

AccessTo = Callable[[], Mapping[str, ProviderAccess]]
"""How each offer's provider is reached, by the offer's name; keys and all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a worker process stands.

    Attributes:
        worker: its name in leases and logs; nobody else's.
        stream: where its evidence goes; one process's at a time.
        policy: the digest (hex) of all that it works under.
        topic: of the results' events.
        wait_s: how long a job that is given back waits before it is planned again; twice as
            long each time, up to *wait_most_s*.
    """

    worker: str
    stream: str
    policy: str
    topic: str
    wait_s: float
    wait_most_s: float


class Desk:
    """One process's offers, breakers and database threads; lives on the event loop."""

    def __init__(
        self,
        engine: Engine,
        client: aiohttp.ClientSession,
        *,
        access_to: AccessTo,
        policy: WorkPolicy,
        place: Place,
    ) -> None:
        self.policy = policy
        self.place = place
        self.stopping = asyncio.Event()
        self.breakers = Breakers(
            policy=BreakerPolicy(
                failures_max=policy.breaker_failures,
                rest=timedelta(seconds=policy.breaker_rest_s),
            )
        )
        self._engine = engine
        self._client = client
        self._access_to = access_to
        self._threads = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")
        self.sharing = Sharing(
            worker=place.worker,
            lasts_s=policy.claim_s,
            once=lambda work: self.in_thread(lambda: self._transact(work)),
            under_way=self._under_way,
            told=self._freed,
        )
        self._in_flight = InFlight(limit=policy.concurrency)
        self._offers: dict[int, CalledOffer] = {}
        self._access: Mapping[str, ProviderAccess] = {}
        self._prices: dict[int, Price] = {}
        self._channels: dict[int, Channel] = {}
        self._behind = timedelta()
        self._compared_at = float("-inf")
        self._read_at = float("-inf")
        self._rests: dict[int, datetime | None] = {}
        self._side_tasks: set[asyncio.Task[None]] = set()

    def now(self) -> datetime:
        """The database's time, which breakers go by, as of the last word from there."""
        return datetime.now(UTC) + self._behind

    def set_clock(self, at: datetime) -> None:
        self._behind = at - datetime.now(UTC)

    def house(self) -> House:
        """What this process's flushes go by."""
        return House(
            worker=self.place.worker,
            stream=self.place.stream,
            policy=self.place.policy,
            topic=self.place.topic,
            lease=timedelta(seconds=self.policy.lease_s),
            wait_s=self.place.wait_s,
            wait_most_s=self.place.wait_most_s,
            names={
                one.id: Names(offer=one.name, provider=one.provider)
                for one in self._offers.values()
            },
        )

    async def in_database(self, work: Callable[[Connection], T]) -> T:
        """What *work* gives, done in a transaction of its own and in a thread.

        While Postgres is away it is tried again, for as long as that lasts: *work* must be
        such that doing it twice does no harm.
        """
        pause_s = AWAY_FIRST_S
        while True:
            try:
                return await self.in_thread(lambda: self._transact(work))
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                LOG.warning(
                    "Postgres cannot do it now; trying again",
                    reason=first_line(error),
                    pause_s=pause_s,
                )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, AWAY_MOST_S)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """As `in_database`, in this thread and once."""
        return self._transact(work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as conn:
            return work(conn)

    async def learn(self) -> None:
        """Read the prices that are new, the offers where those may be too, and the breakers."""
        after = max(self._prices, default=0)
        new = await self.in_database(lambda conn: read_prices(conn, after=after))
        self._prices |= new
        await self.keep_up(is_old=bool(new))

    async def keep_up(self, *, is_old: bool = False) -> None:
        """Read the offers again if they are old, and compare notes with the other workers."""
        if is_old or time.monotonic() - self._read_at > CATALOG_S:
            await self._read_catalog()
        await self.compare_notes()
        await self.sharing.ask()

    async def _read_catalog(self) -> None:
        found = await self.in_database(read_offers)
        self._read_at = time.monotonic()
        if not {one.name for one in found} <= self._access.keys():
            self._access = await self.in_thread(self._access_to)
        self._offers = {one.id: one for one in found}
        for channel in self._channels.values():
            channel.offer = self._offers[channel.offer.id]

    def price(self, option: Option) -> Price:
        return self._prices[option.price_id]

    def why_not(self, option: Option) -> str | None:
        """Why *option* cannot be called now; see `failover.WhyNot`."""
        offer = self._offers.get(option.offer_id)
        if offer is None or option.price_id not in self._prices:
            return f"{self.name_of(option)} is not in the catalog"
        if offer.off_reason is not None:
            return offer.off_text
        if offer.name not in self._access:
            return f"this worker's catalog does not list {offer.name}"
        return self.channel(offer.id).closed()

    def name_of(self, option: Option) -> str:
        """*option*'s offer, as people call it; by its number where it is not known here."""
        offer = self._offers.get(option.offer_id)
        return f"offer {option.offer_id}" if offer is None else offer.name

    def channel(self, offer_id: int) -> Channel:
        """The way to an offer that `why_not` does not object to."""
        channel = self._channels.get(offer_id)
        if channel is None:
            channel = self._channels[offer_id] = self._open(self._offers[offer_id])
        return channel

    def channels(self) -> list[Channel]:
        return list(self._channels.values())

    def _under_way(self, offer_id: int) -> int:
        channel = self._channels.get(offer_id)
        return 0 if channel is None else channel.under_way

    def _open(self, offer: CalledOffer) -> Channel:
        def limit() -> pace.Limit:
            # As it is now: it may be changed while this process runs.
            return self._offers[offer.id].limit

        async def take(requests: int, tokens: int) -> float:
            now = limit()
            return await self.in_database(
                lambda conn: pace.take(
                    conn, offer_id=offer.id, limit=now, requests=requests, tokens=tokens
                )
            )

        return Channel(
            offer,
            adapter=adapter_for(self._access[offer.name], self._client),
            breakers=self.breakers,
            in_flight=self._in_flight,
            room=self.sharing.room(offer.id),
            clock=self.now,
            policy=self.policy,
            pacer=lambda then: Pacer(limit, take=take, then=then),
            hold=lambda wait_s: self._hold(offer.id, wait_s),
            freed=self._freed,
        )

    def _hold(self, offer_id: int, wait_s: float) -> None:
        async def hold() -> None:
            await self.in_database(lambda conn: pace.hold(conn, offer_id=offer_id, wait_s=wait_s))

        task = asyncio.create_task(hold())
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)

    def _freed(self) -> None:
        for channel in self.channels():
            if channel.waiting:
                channel.pump()

    async def compare_notes(self) -> None:
        """Tell the other workers how offers did, and hear from them; often if there is news."""
        is_news = any(run.failures for run in self.breakers.runs.values())
        if not is_news and time.monotonic() - self._compared_at < COMPARE_S:
            return
        self._compared_at = time.monotonic()
        now = self.now()
        shared, runs = self.breakers.shared, self.breakers.take_runs(now)
        known, policy = list(self._offers), self.breakers.policy

        def compare(conn: Connection) -> dict[int, Breaker]:
            return share(conn, runs, known=known, now=now, policy=policy)

        try:
            fresh = await self.in_thread(lambda: self._transact(compare))
        except DBAPIError as error:
            if not is_passing(error):
                raise
            self.breakers.give_back(runs, shared=shared)
            return
        self._announce(fresh)
        self.breakers.shared = self.breakers.shared | fresh
        # A list: a call that is turned away may open the way to another offer.
        for channel in self.channels():
            channel.pump()

    def _announce(self, fresh: Mapping[int, Breaker]) -> None:
        now = self.now()
        for offer_id, breaker in fresh.items():
            if not breaker.allows(now) and self._rests.get(offer_id) != breaker.resting_until:
                self._rests[offer_id] = breaker.resting_until
                LOG.warning(
                    "an offer asked for a pause" if breaker.is_asked else "an offer rests",
                    offer=self._offers[offer_id].name,
                    failures=None if breaker.is_asked else breaker.failures,
                    until=str(breaker.resting_until),
                )

    def close(self) -> None:
        self._threads.shutdown(wait=True)
