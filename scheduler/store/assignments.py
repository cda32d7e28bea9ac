"""What a leased parcel holds: its jobs with their options, and what was tried for them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Text, cast, func, select, text

from scheduler.domain.job import JobState, Reduction, Task
from scheduler.domain.option import Option
from scheduler.domain.purse import Purse
from scheduler.domain.work import Lease
from scheduler.store.parcels import Leased
from scheduler.store.tables.jobs import document, job
from scheduler.store.tables.plans import decision
from scheduler.store.tables.scopes import scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One earlier call for a job, under the same plan."""

    offer_id: int
    reduction: Reduction
    error: str


class Assignment(NamedTuple):
    """One job of a parcel, as its worker finds it.

    Attributes:
        scope: the project's path, organisation/team/project.
        tags: JSON text, as it is passed on.
        chosen: what the plan chose; *alternatives* is JSON text, read only where that fails.
        attempts: calls made for the job so far, under any plan.
        tried: those of them that were made under this plan.
    """

    lease: Lease
    job_id: int
    key: str
    tenant_id: int
    project_id: int
    scope: str
    plan_id: int
    tags: str
    document_id: int
    document_bytes: int
    max_cost_nusd: int | None
    deadline: datetime | None
    booked_on: date
    task: Task
    params: dict[str, Any]
    purse: Purse
    chosen: Option
    alternatives: str
    attempts: int = 0
    tried: tuple[Tried, ...] = ()

    def options(self) -> tuple[Option, ...]:
        """What the plan chose, then the next best."""
        others = json.loads(self.alternatives)
        return (self.chosen, *(_alternative(other, self.chosen) for other in others))


# In the order of `Assignment`'s fields, of `Purse`'s, and of `Option`'s: a row is cut, not copied.
_FACTS = (
    job.c.id,
    job.c.key,
    job.c.tenant_id,
    job.c.project_id,
    scope.c.path,
    job.c.plan_id,
    cast(job.c.tags, Text),
    job.c.document_id,
    document.c.bytes,
    job.c.max_cost_nusd,
    job.c.deadline,
    func.coalesce(job.c.booked_on, func.current_date()),
)
_MONEY = (job.c.reserved_nusd - job.c.held_nusd, job.c.held_nusd, job.c.spent_nusd)
_CHOSEN = (
    decision.c.offer_id,
    decision.c.price_id,
    decision.c.reserved_nusd,
    decision.c.output_limit,
    func.coalesce(decision.c.input_tokens, 0),
    func.coalesce(decision.c.output_tokens, 0),
    func.coalesce(decision.c.quality_ppm, 0),
)
_REST = (
    decision.c.reduction.label("reduction"),
    job.c.task.label("task"),
    cast(job.c.params, Text).label("params"),
    cast(decision.c.alternatives, Text).label("alternatives"),
    job.c.parcel_id.label("parcel_id"),
    job.c.deferrals.label("deferrals"),
)
_MONEY_AT = len(_FACTS)
_CHOSEN_AT = _MONEY_AT + len(_MONEY)
_REST_AT = _CHOSEN_AT + len(_CHOSEN)

_TRIED = text("""
    SELECT attempt.job_id, count(*) AS attempts,
           coalesce(jsonb_agg(jsonb_build_array(offer_id, reduction, error))
                    FILTER (WHERE job.parcel_id = attempt.parcel_id
                                  AND attempt.error IS NOT NULL), '[]') AS tried
    FROM attempt JOIN job ON job.id = attempt.job_id
    WHERE attempt.job_id = ANY(CAST(:jobs AS bigint[]))
    GROUP BY attempt.job_id
""")


def read_assignments(conn: Connection, leased: Sequence[Leased]) -> list[Assignment]:
    """The jobs that are still to be done in *leased*, the most urgent first."""
    by_parcel = {held.lease.parcel_id: held.lease for held in leased}
    rows = conn.execute(
        select(*_FACTS, *_MONEY, *_CHOSEN, *_REST)
        .join(scope, scope.c.id == job.c.project_id)
        .join(document, document.c.id == job.c.document_id)
        .join(decision, (decision.c.plan_id == job.c.plan_id) & (decision.c.job_id == job.c.id))
        .where(job.c.parcel_id.in_(by_parcel), job.c.state == JobState.PLANNED)
        .order_by(job.c.deadline, job.c.priority.desc(), job.c.id)
    ).all()
    return _with_history(conn, [(_assignment(row, by_parcel), row.deferrals) for row in rows])


def _assignment(row: Row[*tuple[Any, ...]], by_parcel: dict[int, Lease]) -> Assignment:
    reduction, task, params, alternatives, parcel_id, _ = row[_REST_AT:]
    facts = (
        by_parcel[parcel_id],
        *row[:_MONEY_AT],
        Task(task),
        # Most jobs have none, and they are read by the thousand.
        {} if params == "{}" else json.loads(params),
        Purse._make(row[_MONEY_AT:_CHOSEN_AT]),
        Option._make((Reduction(reduction), *row[_CHOSEN_AT:_REST_AT])),
        alternatives,
    )
    return Assignment._make((*facts, 0, ()))


def _alternative(said: dict[str, Any], chosen: Option) -> Option:
    return Option(
        offer_id=said["offer_id"],
        price_id=said["price_id"],
        reduction=Reduction(said["reduction"]),
        reserved_nusd=said["reserved_nusd"],
        output_limit=said.get("output_limit", chosen.output_limit),
        input_tokens=said.get("input_tokens", chosen.input_tokens),
        output_tokens=said.get("output_tokens", chosen.output_tokens),
        quality_ppm=said.get("quality_ppm", 0),
    )


def _with_history(conn: Connection, found: list[tuple[Assignment, int]]) -> list[Assignment]:
    """*found* (with each job's deferrals), each with what was tried for it before."""
    # A job that was never worked on, and most are that, has no history to read.
    ids = [one.job_id for one, deferrals in found if one.lease.attempt > 1 or deferrals]
    history = {row.job_id: row for row in conn.execute(_TRIED, {"jobs": ids})} if ids else {}
    return [
        one._replace(
            attempts=history[one.job_id].attempts,
            tried=tuple(
                Tried(offer_id=offer_id, reduction=Reduction(reduction), error=error)
                for offer_id, reduction, error in history[one.job_id].tried
            ),
        )
        if one.job_id in history
        else one
        for one, _ in found
    ]
