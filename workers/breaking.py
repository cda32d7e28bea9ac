"""Each offer's breaker as this process sees it: told at once, shared with each flush."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from scheduler.domain.breaker import Breaker, BreakerPolicy
from scheduler.store.breakers import lock_breakers, read_breakers, write_breakers


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Outcomes of one offer's calls, in their order, as far as a breaker needs them.

    Attributes:
        succeeded: whether any call did.
        failures: how many failed after the last that did.
        error: the last failure's.
        asked_until: until when the provider asked for no more calls, where that is long.
    """

    succeeded: bool = False
    failures: int = 0
    error: str | None = None
    asked_until: datetime | None = None

    def after_success(self) -> "Run":
        return Run(succeeded=True)

    def after_failure(self, error: str, *, asked_until: datetime | None = None) -> "Run":
        return Run(
            succeeded=self.succeeded,
            failures=self.failures + 1,
            error=error,
            asked_until=_later(self.asked_until, asked_until),
        )

    def applied_to(self, breaker: Breaker, *, now: datetime, policy: BreakerPolicy) -> Breaker:
        """*breaker* after these calls.

        A rest is not prolonged by calls that were under way when it began.
        """
        after = breaker.after_success() if self.succeeded else breaker
        for _ in range(self.failures):
            if not after.allows(now):
                break
            after = after.after_failure(now, policy)
        until = _later(after.resting_until, self.asked_until)
        if until is None or until == after.resting_until:
            return after
        return after.left_alone(until, policy)


@dataclass(slots=True, kw_only=True)
class Breakers:
    """The breakers of the offers that this process calls.

    What it reports is not yet in the database until `share` has run; what others report is
    seen then too.  *shared* and *runs* are replaced as wholes, so a reader needs no lock.
    """

    policy: BreakerPolicy
    shared: dict[int, Breaker] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)

    def succeeded(self, offer_id: int) -> None:
        run = self.runs.get(offer_id)
        if run is None or run.failures or not run.succeeded:
            self.runs[offer_id] = Run(succeeded=True)

    def failed(self, offer_id: int, error: str, *, asked_until: datetime | None = None) -> None:
        run = self.runs.get(offer_id, Run())
        self.runs[offer_id] = run.after_failure(error, asked_until=asked_until)

    def is_calm(self, offer_id: int) -> bool:
        """Whether nothing bad is known of the offer; asked before every call."""
        run, shared = self.runs.get(offer_id), self.shared.get(offer_id)
        return not (run and run.failures) and not (shared and shared.failures)

    def now(self, offer_id: int, now: datetime) -> Breaker:
        """The offer's breaker, with what this process has seen since the last `share`."""
        shared = self.shared.get(offer_id, Breaker())
        run = self.runs.get(offer_id)
        return shared if run is None else run.applied_to(shared, now=now, policy=self.policy)

    def is_probing(self, offer_id: int, now: datetime) -> bool:
        """Whether the offer is let through again after a rest, and has not yet done well."""
        breaker = self.now(offer_id, now)
        return breaker.allows(now) and breaker.failures >= self.policy.failures_max

    def take_runs(self, now: datetime) -> dict[int, Run]:
        """What is to be shared now; it is this process's to give back if that fails."""
        self.shared = self.shared | {offer_id: self.now(offer_id, now) for offer_id in self.runs}
        runs, self.runs = self.runs, {}
        return runs

    def give_back(self, runs: Mapping[int, Run], *, shared: Mapping[int, Breaker]) -> None:
        """Keep *runs*, which could not be shared, before what has been seen since.

        *shared* is how the breakers stood without them: else they would count twice.
        """
        before = {offer_id: shared.get(offer_id, Breaker()) for offer_id in runs}
        self.shared = self.shared | before
        for offer_id, run in runs.items():
            since = self.runs.get(offer_id)
            if since is None:
                self.runs[offer_id] = run
            elif not since.succeeded:
                self.runs[offer_id] = Run(
                    succeeded=run.succeeded,
                    failures=run.failures + since.failures,
                    error=since.error or run.error,
                    asked_until=_later(run.asked_until, since.asked_until),
                )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)


def share(
    conn: Connection,
    runs: Mapping[int, Run],
    *,
    known: Iterable[int],
    now: datetime,
    policy: BreakerPolicy,
) -> dict[int, Breaker]:
    """Add *runs* to the shared breakers, in a transaction of its own; how all *known* now stand.

    Calls that all went well, to an offer of which nothing bad is known, change nothing and
    lock nothing.
    """
    fresh = read_breakers(conn, {*known, *runs})
    telling = {
        offer_id: run
        for offer_id, run in runs.items()
        if run.failures or fresh[offer_id] != Breaker()
    }
    locked = lock_breakers(conn, telling)
    changed = {
        offer_id: run.applied_to(locked[offer_id], now=now, policy=policy)
        for offer_id, run in telling.items()
    }
    errors = {offer_id: run.error for offer_id, run in telling.items() if run.error}
    write_breakers(conn, changed, errors=errors)
    return fresh | changed
