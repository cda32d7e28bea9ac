"""The way to one offer in this process: who waits for it, and who is under way."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from scheduler.domain.policy import WorkPolicy
from scheduler.domain.work import Lease
from scheduler.store.calling import CalledOffer, Price
from workers.breaking import Breakers
from workers.calls import (
    Adapter,
    CallFailed,
    CallUnavailable,
    OfferUnusable,
    OutcomeUnknown,
    ProviderDown,
    RateLimited,
)
from workers.execute import lost, perform, storable, unsent
from workers.inhand import Noted, Outcome, Trouble
from workers.pace import Pacer
from workers.sharing import Room

HOLD_AGAIN = timedelta(milliseconds=200)
ASKED_MOST_S = 3_600.0
"""So long an offer is left alone if it asks for that or more; then one call hears it again."""


class Owner(Protocol):
    """Whose call it is: told of its outcome."""

    def returned(self, outcome: Outcome) -> None: ...


@dataclass(slots=True)
class InFlight:
    """The calls under way in this process, over all offers."""

    limit: int
    count: int = 0


class Channel:
    """Calls to one offer: bounded, paced, and stopped while it rests or is off."""

    def __init__(
        self,
        offer: CalledOffer,
        *,
        adapter: Adapter,
        breakers: Breakers,
        in_flight: InFlight,
        room: Room,
        clock: Callable[[], datetime],
        policy: WorkPolicy,
        pacer: Callable[[Callable[[], None]], Pacer],
        hold: Callable[[float], None],
        freed: Callable[[], None],
    ) -> None:
        """*clock* tells the database's time; *hold* asks all workers to wait for so many seconds.

        *room* is this process's share of what the offer takes at a time; *freed* is called when
        a place in *in_flight* has become free.
        """
        self.offer = offer
        self.room = room
        self._adapter = adapter
        self._breakers = breakers
        self._in_flight = in_flight
        self._clock = clock
        self._policy = policy
        self._pacer = pacer(self.pump)
        self._hold = hold
        self._freed = freed
        self._held_until = clock()
        self._waiting: deque[tuple[Noted, Price, Owner]] = deque()
        self._under_way: dict[asyncio.Task[None], tuple[Noted, Owner]] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    def closed(self) -> str | None:
        """Why nothing may be sent now, for people; None where it may."""
        if self.offer.off_reason is not None:
            return self.offer.off_text
        if self.room.is_full:
            return f"other workers make all calls that {self.offer.name} takes at a time"
        if self._breakers.is_calm(self.offer.id):
            return None
        now = self._clock()
        breaker = self._breakers.now(self.offer.id, now)
        if breaker.allows(now):
            return None
        return f"{self.offer.name} {breaker.why()}"

    def put(self, noted: Noted, price: Price, owner: Owner) -> None:
        """Make the call of *noted* when its turn comes; *owner* is told how it went."""
        self._waiting.append((noted, price, owner))

    def pump(self) -> None:
        """Send what may be sent now."""
        if not self._waiting:
            return
        if reason := self.closed():
            self._turn_away(reason)
            return
        while (one := self._next()) is not None:
            task = asyncio.create_task(self._run(*one))
            self._under_way[task] = (one[0], one[2])
            self._in_flight.count += 1

    def _next(self) -> tuple[Noted, Price, Owner] | None:
        """The next call that may be made now, taken from those that wait."""
        if not self._waiting or not self._has_room():
            return None
        if not self._pacer.try_pass(_tokens(self._waiting[0][0]), waiting=len(self._waiting)):
            return None
        return self._waiting.popleft()

    def withdraw(
        self, owner: Owner, reason: str, *, leases: Collection[Lease] | None = None
    ) -> None:
        """Give *owner* back those of its calls that have not been sent; of *leases*, or all."""
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            noted, _, whose = one
            if whose is owner and (leases is None or noted.hand.job.lease in leases):
                owner.returned(unsent(noted, reason))
            else:
                self._waiting.append(one)

    def abandon(self, owner: Owner, reason: str) -> None:
        """Hear no more of those of *owner*'s calls that are under way: their outcome is unknown."""
        for task, (noted, whose) in list(self._under_way.items()):
            if whose is owner:
                del self._under_way[task]
                task.cancel()
                self._in_flight.count -= 1
                owner.returned(lost(noted, reason))

    def _has_room(self) -> bool:
        if self._in_flight.count >= self._in_flight.limit:
            return False
        if self._breakers.is_calm(self.offer.id):
            return len(self._under_way) < self.room.now()
        # After a rest one call goes first: a crowd would find out the same at a higher price.
        probing = self._breakers.is_probing(self.offer.id, self._clock())
        room = self.room.now()
        return len(self._under_way) < (min(room, 1) if probing else room)

    def _turn_away(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for noted, _, owner in waiting:
            owner.returned(unsent(noted, reason, trouble=Trouble.UNAVAILABLE))

    async def _run(self, noted: Noted, price: Price, owner: Owner) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            outcome = await perform(
                noted,
                adapter=self._adapter,
                model=self.offer.model,
                price=price,
                watch=self,
                policy=self._policy,
            )
            if self._under_way.pop(task, None) is None:
                return
            self._in_flight.count -= 1
            if outcome.trouble is Trouble.LIMITED:
                # Whoever asks to slow down, try after try, is not to be had at present.
                self._breakers.failed(self.offer.id, outcome.error or "")
            owner.returned(outcome)
            # Most of the time there is a next one, and it needs no task of its own.
            following = None if self.closed() else self._next()
            if following is None:
                self.pump()
                self._freed()
                return
            noted, price, owner = following
            self._under_way[task] = (noted, owner)
            self._in_flight.count += 1

    def _wait(self, wait_s: float) -> None:
        until = self._clock() + timedelta(seconds=wait_s)
        # All that were under way are turned away alike; one of them says so to the others.
        if until > self._held_until + HOLD_AGAIN:
            self._held_until = until
            self._pacer.drop()
            self._hold(wait_s)

    # What `execute.Watch` asks for.

    def answered(self) -> None:
        self._breakers.succeeded(self.offer.id)

    def failed(self, error: CallFailed) -> None:
        said = storable(str(error))
        asked_s = (error.retry_after_s or 0.0) if isinstance(error, CallUnavailable) else 0.0
        if asked_s > self._policy.tries_s:
            # No call can wait for that: its job goes elsewhere, and no other is kept waiting.
            until = self._clock() + timedelta(seconds=min(asked_s, ASKED_MOST_S))
            self._breakers.failed(self.offer.id, said, asked_until=until)
        elif isinstance(error, RateLimited):
            self._wait(asked_s)
        elif isinstance(error, OfferUnusable):
            # A person must mend it: no need to find that out five times.
            for _ in range(self._policy.breaker_failures):
                self._breakers.failed(self.offer.id, said)
        elif isinstance(error, ProviderDown | OutcomeUnknown):
            self._breakers.failed(self.offer.id, said)

    def may_retry(self) -> bool:
        return self.closed() is None

    async def before_retry(self, noted: Noted) -> None:
        await self._pacer.pass_one(_tokens(noted))

    async def sleep(self, seconds: float) -> None:
        # Whoever waits is not under way: others may use the place.
        self._in_flight.count -= 1
        self._freed()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._in_flight.count += 1


def _tokens(noted: Noted) -> int:
    return noted.option.input_tokens + noted.option.output_tokens
