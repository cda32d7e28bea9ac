"""When to leave a failing offer alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """*failures_max* failures in a row close the offer for *rest*."""

    failures_max: int = 5
    rest: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """How one offer has done of late.  A value: each outcome gives a new one.

    Attributes:
        is_asked: the provider itself said until when it wants no calls.
    """

    failures: int = 0
    resting_until: datetime | None = None
    is_asked: bool = False

    def allows(self, now: datetime) -> bool:
        return self.resting_until is None or now >= self.resting_until

    def after_success(self) -> "Breaker":
        return Breaker()

    def after_failure(self, now: datetime, policy: BreakerPolicy) -> "Breaker":
        failures = self.failures + 1
        # Once at the limit, one more failure is enough: the call after a rest is a probe.
        resting_until = now + policy.rest if failures >= policy.failures_max else None
        return Breaker(failures=failures, resting_until=resting_until)

    def left_alone(self, until: datetime, policy: BreakerPolicy) -> "Breaker":
        """This breaker once the provider itself has said *until* when it wants no calls."""
        # As after that many failures: what comes then is a probe.
        failures = max(self.failures, policy.failures_max)
        return Breaker(failures=failures, resting_until=until, is_asked=True)

    def why(self) -> str:
        """What it did that no call is let through, for people: completes a sentence about it."""
        if not self.is_asked or self.resting_until is None:
            return f"rests after {self.failures} failures"
        until = self.resting_until.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
        return f"asked for a pause until {until}"
