"""This process's shares of what its offers take at a time: asked for, kept, and given up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypedDict

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from scheduler.domain.shares import Share
from scheduler.store.passing import is_passing
from scheduler.store.shares import claim

ASK_S = 1.0
"""How often a worker asks: a share that others make room for is had about so much later."""

_NEVER = float("-inf")


@dataclass(slots=True)
class Room:
    """How many calls of one offer may be under way in this process.

    Attributes:
        calls: so many, *until* then by the monotonic clock: from then on others may have them.
        is_full: other workers have all places.
    """

    calls: int = 0
    is_full: bool = False
    until: float = _NEVER

    def now(self) -> int:
        return self.calls if time.monotonic() < self.until else 0


class User(Protocol):
    """Who has jobs for offers: a drain's stock."""

    def wanted(self) -> Collection[int]:
        """The offers that it has something to do for."""

    def heard(self) -> None:
        """Called when rooms may have changed; must not block."""


class Terms(TypedDict):
    """What every claim of a process says: whose it is, and how long it lasts."""

    worker: str
    lasts: timedelta


Shares = Mapping[int, Share]
Once = Callable[[Callable[[Connection], Shares]], Awaitable[Shares]]
"""Gives what the work gives, done once in a transaction and a thread."""


class Sharing:
    """The rooms of one process; lives on the event loop.

    Whoever asks for shares holds *changing* from before he looks at what is used until he has
    told the answer: an older answer must not undo a newer one.
    """

    def __init__(
        self,
        *,
        worker: str,
        lasts_s: float,
        once: Once,
        under_way: Callable[[int], int],
        told: Callable[[], None],
    ) -> None:
        """*under_way* tells how many calls to an offer there are just now.

        *told* is called when there may be room for more.
        """
        self.changing = asyncio.Lock()
        self.users: list[User] = []
        self.terms = Terms(worker=worker, lasts=timedelta(seconds=lasts_s))
        self._once = once
        self._under_way = under_way
        self._told = told
        self._rooms: dict[int, Room] = {}
        self._asked_at = _NEVER

    def room(self, offer_id: int) -> Room:
        return self._rooms.setdefault(offer_id, Room())

    def using(self) -> dict[int, int]:
        """How many calls of each offer may be under way before an answer is here."""
        return {one: max(room.now(), self._under_way(one)) for one, room in self._rooms.items()}

    async def ask(self, *, at_once: bool = False) -> None:
        """Ask for the shares of the offers that are wanted, and give up those of all others.

        Not more often than is needed, unless *at_once*.  While Postgres is away nothing changes.
        """
        wanted = self._wanted()
        is_news = any(self.room(offer_id).until == _NEVER for offer_id in wanted)
        is_soon = time.monotonic() - self._asked_at < ASK_S
        if not at_once and ((is_soon and not is_news) or self.changing.locked()):
            return
        async with self.changing:
            self._asked_at = asked_at = time.monotonic()
            used = self.using()
            using = {offer_id: used.get(offer_id, 0) for offer_id in self._wanted()}
            self._leave(but=using)
            try:
                shares = await self._once(lambda conn: claim(conn, using, **self.terms))
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                return
            self.tell(shares, wanted=using, asked_at=asked_at)

    def tell(self, shares: Shares, *, wanted: Collection[int], asked_at: float) -> None:
        """Go by *shares* from now on, which were asked for at *asked_at* by the monotonic clock."""
        for offer_id, share in shares.items():
            room = self.room(offer_id)
            room.is_full = share.is_full
            if offer_id in wanted:
                room.calls, room.until = share.calls, asked_at + self.terms["lasts"].total_seconds()
        for user in self.users:
            user.heard()
        self._told()

    def _leave(self, *, but: Collection[int]) -> None:
        """Begin no call of any offer *but* these: the claims on the others are given up."""
        for offer_id, room in self._rooms.items():
            if offer_id not in but:
                room.calls, room.until = 0, _NEVER

    def _wanted(self) -> set[int]:
        wanted = {offer_id for offer_id in self._rooms if self._under_way(offer_id)}
        return wanted.union(*(user.wanted() for user in self.users))
