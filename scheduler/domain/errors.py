"""Every error the service raises on purpose, sorted by what the caller should do.

There are four answers and so four branches: mend the request (`Refused`), wait and
try again (`Unavailable`), let go of it (`Overtaken`), or stop and call a person
(`Broken`).  Code that retries catches `Unavailable` and nothing else.
"""


class SchedulerError(Exception):
    """Base of the service's own errors; never raised itself."""


class Refused(SchedulerError):
    """The request is wrong, and sending it again will not mend it."""


class Unavailable(SchedulerError):
    """The world is not ready; the same call may succeed later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overtaken(SchedulerError):
    """Another process has taken over this work; roll back and drop it."""


class Broken(SchedulerError):
    """An invariant does not hold; going on could lose money or work."""


class LeaseLost(Overtaken):
    """A worker reported on a parcel that has since been given to another."""

    def __init__(self, *, parcel_id: int, attempt: int) -> None:
        super().__init__(f"parcel {parcel_id} is no longer held under attempt {attempt}")
        self.parcel_id = parcel_id
        self.attempt = attempt


class PositionMoved(Overtaken):
    """A partition was read on by another consumer while this one held its messages."""

    def __init__(self, *, topic: str, partition: int, start: int) -> None:
        super().__init__(f"{topic}[{partition}] is no longer at offset {start}")
        self.topic = topic
        self.partition = partition
        self.start = start


class BudgetExceeded(Refused):
    """A budget cannot bear what was asked of it."""

    def __init__(self, *, budget: str, asked_nusd: int, free_nusd: int) -> None:
        super().__init__(
            f"budget {budget} has {free_nusd} nUSD free, and {asked_nusd} nUSD were asked for; "
            "raise it with `apportion budget set`, or submit less"
        )
        self.budget = budget
        self.asked_nusd = asked_nusd
        self.free_nusd = free_nusd
