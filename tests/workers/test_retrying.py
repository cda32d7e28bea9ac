"""How often, and how long, a call is tried again."""

import asyncio

import pytest

from workers.calls import CallRefused, OutcomeUnknown, ProviderDown, RateLimited
from workers.retrying import STAGGER_S, retrying


class Provider:
    """Fails with *errors*, one a call, and then answers; counts calls, and what was slept."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.slept_s: list[float] = []

    async def answer(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


def down(wait_s: float | None = None) -> ProviderDown:
    return ProviderDown(provider="acme", reason="HTTP 500", retry_after_s=wait_s)


def tried(provider: Provider, *, tries: int = 4, seconds: float = 60.0) -> str:
    retrier = retrying(tries=tries, seconds=seconds, sleep=provider.sleep)
    return asyncio.run(retrier(provider.answer))


def test_a_failure_that_was_not_billed_is_tried_again() -> None:
    provider = Provider(down(), down())

    assert tried(provider) == "done"
    assert provider.calls == 3


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown(provider="acme", reason="cut"),
        CallRefused(provider="acme", reason="HTTP 400"),
        ValueError("a bug"),
    ],
)
def test_what_may_cost_twice_or_cannot_help_is_not_tried_again(error: Exception) -> None:
    provider = Provider(error)

    with pytest.raises(type(error)):
        tried(provider)

    assert provider.calls == 1


def test_tries_are_bounded_and_the_last_error_is_raised_itself() -> None:
    last = down()
    provider = Provider(down(), down(), last)

    with pytest.raises(ProviderDown) as caught:
        tried(provider, tries=3)

    assert caught.value is last
    assert len(provider.slept_s) == 2


def test_the_wait_that_the_provider_asked_for_is_kept_with_a_stagger() -> None:
    provider = Provider(RateLimited(provider="acme", reason="HTTP 429", retry_after_s=7.0))

    tried(provider)

    [slept_s] = provider.slept_s
    assert 7.0 <= slept_s <= 7.0 + STAGGER_S


def test_no_wait_is_begun_that_would_end_too_late() -> None:
    provider = Provider(RateLimited(provider="acme", reason="HTTP 429", retry_after_s=61.0))

    with pytest.raises(RateLimited):
        tried(provider, seconds=60.0)

    assert provider.slept_s == []


@pytest.mark.parametrize("asked_s", [None, 3.0])
def test_waits_differ_so_that_calls_do_not_return_together(asked_s: float | None) -> None:
    providers = [Provider(down(asked_s)) for _ in range(20)]
    for provider in providers:
        tried(provider)

    assert len({provider.slept_s[0] for provider in providers}) > 1
