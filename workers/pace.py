"""Keeps an offer's calls under the rate limit that all workers share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scheduler.store.pace import Limit

SLICE_S = 0.5
"""How much of an offer's time is taken at once: one statement for that many calls."""

SPARE_S = 0.02
"""So much is taken even for fewer calls: it keeps nobody else waiting, and more calls may come."""

Take = Callable[[int, int], Awaitable[float]]
"""Takes a slice for (requests, tokens) from all workers' line; seconds until it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """How many calls, with how many tokens in all, are asked for at once."""

    requests: int
    tokens: int


def slice_for(limit: Limit, *, waiting: int, tokens_each: int) -> Slice:
    """What to take for *waiting* calls: what they need, but no more than `SLICE_S` lets through.

    Nor less than `SPARE_S` does.  One call is always taken, however long its place on the line.
    """
    most, least = (_let_through(limit, tokens_each, for_s=for_s) for for_s in (SLICE_S, SPARE_S))
    requests = max(1, least, min(waiting, most))
    return Slice(requests=requests, tokens=requests * tokens_each)


def _let_through(limit: Limit, tokens_each: int, *, for_s: float) -> int:
    """How many whole calls *limit* lets through in *for_s*."""
    by_requests = int(limit.requests_per_minute * for_s / 60)
    by_tokens = int(limit.tokens_per_minute * for_s / 60) // max(tokens_each, 1)
    return min(by_requests, by_tokens)


class Pacer:
    """One offer's allowance in this process: used up here, filled from the shared line.

    *limit* tells what the offer lets through now.  *then* is called whenever there may be more;
    it must not block.
    """

    def __init__(
        self,
        limit: Callable[[], Limit],
        *,
        take: Take,
        then: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limit = limit
        self._take = take
        self._then = then
        self._sleep = sleep
        self._requests = 0
        self._tokens = 0
        self._low = 0
        self._drops = 0
        self._filling: asyncio.Task[None] | None = None

    def try_pass(self, tokens: int, *, waiting: int) -> bool:
        """Whether a call with *tokens* may go out now; if not, more is asked for.

        *waiting* is how many calls, this one included, will want to.
        """
        passes = self._requests >= 1 and self._tokens >= tokens
        if passes:
            self._requests -= 1
            self._tokens -= tokens
            waiting -= 1
        # Asked for while some of the slice is left, or all would wait until the answer is here.
        is_low = self._requests <= self._low and self._requests < waiting
        if (is_low or not passes) and self._filling is None:
            self._filling = asyncio.create_task(self._fill(tokens, waiting))
        return passes

    def drop(self) -> None:
        """Forget what is left of the slice: the provider wants no more calls now."""
        self._requests = self._tokens = 0
        # Nor what is being taken: its place on the line is before the one that he named.
        self._drops += 1

    async def pass_one(self, tokens: int) -> None:
        """Wait until one more call with *tokens* may go out: a call that is tried again."""
        await self._sleep(await self._take(1, tokens))

    async def _fill(self, tokens: int, waiting: int) -> None:
        more = slice_for(self._limit(), waiting=waiting, tokens_each=tokens)
        drops = self._drops
        try:
            wait_s = await self._take(more.requests, more.tokens)
            if wait_s > 0:
                await self._sleep(wait_s)
            if drops == self._drops:
                # What is left of the slice before is not carried over: it is of the past.
                self._requests, self._tokens = more.requests, more.tokens
                self._low = more.requests // 2
        finally:
            self._filling = None
        self._then()
