"""Where a parcel and a paid call stand."""

from enum import StrEnum
from typing import NamedTuple


class ParcelState(StrEnum):
    """`ready` for a worker, `running` under a lease, `done`, or `dead`: given up."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


class AttemptState(StrEnum):
    """How a call went.

    `started`: noted before it is made.  `succeeded`: its answer was good.  `failed`: it was
    not; what it cost, if anything, is waste.  `unknown`: whether it was billed, or how much,
    is not known; its reservation is kept until that is resolved.
    """

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Lease(NamedTuple):
    """A parcel, held under one attempt number: the fence.

    A tuple: it is looked up for every job, and a dataclass is hashed in Python.
    """

    parcel_id: int
    attempt: int
