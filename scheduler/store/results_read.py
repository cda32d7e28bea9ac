"""Results, read back in bulk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, func, or_, select

from scheduler.domain.errors import Refused
from scheduler.domain.job import Task
from scheduler.store.tables.catalog import offer, provider
from scheduler.store.tables.jobs import job, result
from scheduler.store.tables.scopes import scope

ROWS_AT_ONCE = 1_000


class NoScope(Refused):
    """A scope was named that nothing was ever done for."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no scope {path!r}; `apportion budget list` shows some")
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which results to read; all that is None or empty does not matter.

    Attributes:
        scope: path of an organisation, a team or a project; what is below it is included.
        since: finished at or after this instant.
        status: `done` or `failed`.
        job_keys: the clients' job ids.
    """

    scope: str | None = None
    since: datetime | None = None
    status: str | None = None
    job_keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """One job's result; money in nUSD, *quality_ppm* as the plan predicted it."""

    job_key: str
    scope: str
    task: str
    status: str
    output: Any
    reason: str | None
    provider: str | None
    model: str | None
    offer: str | None
    reduction: str | None
    cost_nusd: int
    quality_ppm: int | None
    attempt_id: UUID | None
    plan_id: int | None
    tags: dict[str, Any]
    at: datetime


def results(conn: Connection, wanted: Wanted) -> Iterator[ResultLine]:
    """The wanted results, in the order the jobs came in; never all in memory at once.

    Raises:
        NoScope: there is no such scope.
    """
    if wanted.scope is not None:
        _check_scope(conn, wanted.scope)
    rows = conn.execute(_statement(wanted), execution_options={"yield_per": ROWS_AT_ONCE})
    return (ResultLine(**row._asdict()) for row in rows)


def _statement(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    lines = (
        select(
            job.c.key.label("job_key"),
            scope.c.path.label("scope"),
            job.c.task,
            result.c.status,
            result.c.output,
            result.c.reason,
            provider.c.name.label("provider"),
            offer.c.model,
            offer.c.name.label("offer"),
            result.c.reduction,
            result.c.cost_nusd,
            result.c.quality_ppm,
            result.c.attempt_id,
            job.c.plan_id,
            job.c.tags,
            result.c.at,
        )
        .join_from(result, job, job.c.id == result.c.job_id)
        .join(scope, scope.c.id == job.c.project_id)
        .outerjoin(offer, offer.c.id == result.c.offer_id)
        .outerjoin(provider, provider.c.id == offer.c.provider_id)
        # What a judge says is no result of anybody's, but feedback on one.
        .where(job.c.task != Task.JUDGE)
        .order_by(result.c.job_id)
    )
    if wanted.scope is not None:
        below = func.starts_with(scope.c.path, wanted.scope + "/")
        lines = lines.where(or_(scope.c.path == wanted.scope, below))
    if wanted.since is not None:
        lines = lines.where(result.c.at >= wanted.since)
    if wanted.status is not None:
        lines = lines.where(result.c.status == wanted.status)
    if wanted.job_keys:
        lines = lines.where(job.c.key.in_(wanted.job_keys))
    return lines


def _check_scope(conn: Connection, path: str) -> None:
    if conn.execute(select(scope.c.id).where(scope.c.path == path)).first() is None:
        raise NoScope(path)
