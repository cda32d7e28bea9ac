"""How often and how long a call to a provider is tried again."""

import asyncio
from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
)
from tenacity.wait import wait_random, wait_random_exponential

from scheduler.domain.errors import Unavailable
from workers.calls import Billed, CallFailed

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 20.0
STAGGER_S = 0.25


def surely_unbilled(error: BaseException) -> bool:
    """Whether trying again cannot cost twice: the caller settles what may have been billed."""
    return (
        isinstance(error, Unavailable)
        and isinstance(error, CallFailed)
        and error.billed is Billed.NO
    )


def retrying(
    *,
    tries: int,
    seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    retry: Callable[[BaseException], bool] = surely_unbilled,
) -> AsyncRetrying:
    """A retrier that gives up at *tries* calls, or rather than be late at *seconds*.

    It retries what *retry* allows, waits as long as the provider asked for where it asked, and
    raises the last error itself, not a wrapper.
    """
    backoff = wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)
    # All who were turned away together would otherwise be back together.
    stagger = wait_random(0, STAGGER_S)

    def wait_s(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, Unavailable) else None
        return backoff(state) if asked_s is None else asked_s + stagger(state)

    return AsyncRetrying(
        retry=retry_if_exception(retry),
        stop=stop_after_attempt(tries) | stop_before_delay(seconds),
        wait=wait_s,
        sleep=sleep,
        reraise=True,
    )
