"""A failing offer is left alone for a while, then asked once."""

from datetime import UTC, datetime, timedelta

from scheduler.domain.breaker import Breaker, BreakerPolicy

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = BreakerPolicy(failures_max=3, rest=timedelta(seconds=30))


def failed(times: int, breaker: Breaker = Breaker()) -> Breaker:  # noqa: B008 - a value
    for _ in range(times):
        breaker = breaker.after_failure(NOON, POLICY)
    return breaker


def test_fewer_failures_than_the_limit_change_nothing() -> None:
    assert failed(2).allows(NOON)


def test_at_the_limit_the_offer_rests() -> None:
    resting = failed(3)

    assert not resting.allows(NOON)
    assert not resting.allows(NOON + timedelta(seconds=29.999))
    assert resting.allows(NOON + timedelta(seconds=30))


def test_one_more_failure_after_the_rest_is_enough() -> None:
    later = NOON + timedelta(minutes=1)

    probed = failed(3).after_failure(later, POLICY)

    assert not probed.allows(later)
    assert probed.resting_until == later + POLICY.rest


def test_a_success_forgets_every_failure() -> None:
    assert failed(2, failed(2).after_success()).allows(NOON)
