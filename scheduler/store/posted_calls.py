"""Calls as they were posted, for whoever holds them against a provider's bill."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Text, cast, func, select

from scheduler.domain.errors import Refused
from scheduler.domain.work import AttemptState
from scheduler.store.corrections import Correction
from scheduler.store.tables.catalog import offer
from scheduler.store.tables.jobs import job
from scheduler.store.tables.scopes import scope
from scheduler.store.tables.work import attempt


class RequestUnclear(Refused):
    """A provider's id of a request does not name one call."""

    def __init__(self, request_id: str, calls: int) -> None:
        why = f"is of {calls} calls; correct them by attempt_id" if calls else "is of no call here"
        super().__init__(f"request {request_id} {why}; nothing was corrected")
        self.request_id = request_id
        self.calls = calls


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedCall:
    """One call: *cost_nusd* is what is known of it now, None where that is nothing."""

    id: UUID
    started_at: datetime
    project: str
    job: str
    offer: str
    state: AttemptState
    cost_nusd: int | None
    request_id: str | None


def calls_of(
    conn: Connection,
    *,
    job_key: str | None = None,
    request_id: str | None = None,
    limit: int = 1_000,
) -> list[PostedCall]:
    """The calls for the jobs of that id, or of that provider's request, oldest first.

    Of both, if both are given.  A request is looked for among all calls.
    """
    calls = (
        select(
            attempt.c.id,
            attempt.c.started_at,
            scope.c.path.label("project"),
            job.c.key.label("job"),
            offer.c.name.label("offer"),
            attempt.c.state,
            attempt.c.cost_nusd,
            attempt.c.request_id,
        )
        .join(job, job.c.id == attempt.c.job_id)
        .join(scope, scope.c.id == job.c.project_id)
        .join(offer, offer.c.id == attempt.c.offer_id)
        .order_by(attempt.c.started_at, attempt.c.id)
        .limit(limit)
    )
    if job_key is not None:
        calls = calls.where(job.c.key == job_key)
    if request_id is not None:
        calls = calls.where(attempt.c.request_id == request_id)
    return [PostedCall(**row._asdict()) for row in conn.execute(calls)]


def corrections_of(conn: Connection, costs_nusd: Mapping[str, int]) -> list[Correction]:
    """What *costs_nusd*, by the provider's ids of its requests, says of our calls.

    Requests are looked for among all calls.

    Raises:
        RequestUnclear: a request is of no call, or of more than one.
    """
    calls = select(attempt.c.request_id, attempt.c.id).where(
        attempt.c.request_id == func.any(cast(list(costs_nusd), ARRAY(Text)))
    )
    found: dict[str, list[UUID]] = defaultdict(list)
    for request_id, attempt_id in conn.execute(calls):
        found[request_id].append(attempt_id)
    for request_id in costs_nusd:
        if (count := len(found[request_id])) != 1:
            raise RequestUnclear(request_id, count)
    return [
        Correction(attempt_id=found[request_id][0], cost_nusd=nusd)
        for request_id, nusd in costs_nusd.items()
    ]
