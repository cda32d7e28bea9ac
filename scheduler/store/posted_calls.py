"""Calls as they were posted, for whoever holds them against a provider's bill."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select

from scheduler.domain.work import AttemptState
from scheduler.store.tables.catalog import offer
from scheduler.store.tables.jobs import job
from scheduler.store.tables.scopes import scope
from scheduler.store.tables.work import attempt


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
