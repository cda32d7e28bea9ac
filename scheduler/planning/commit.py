"""Writes a plan: decisions, parcels, reservations and evidence, all or nothing."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from scheduler.domain.decision import DecisionRow, decisions_digest
from scheduler.domain.errors import BudgetExceeded, Overtaken
from scheduler.domain.job import JobState, Task
from scheduler.domain.ledger import EntryKind
from scheduler.domain.money import usd_from_nusd
from scheduler.domain.policy import PlanObjective, Policy
from scheduler.optimise.result import Result as Solved
from scheduler.planning.carry import Left
from scheduler.planning.decisions import Chosen, Packing
from scheduler.planning.problem import Case
from scheduler.store.evidence import append
from scheduler.store.job_records import all_asked, asked_digests
from scheduler.store.ledger import Entry, NoBudget, book
from scheduler.store.parcels_made import add_parcels, reserve_ids
from scheduler.store.planned_jobs import (
    Ended,
    Planned,
    PutOff,
    end,
    give_to_parcels,
    put_off,
)
from scheduler.store.plans import NewPlan, add_decisions, add_plan
from scheduler.store.policy_records import prove_policy
from scheduler.store.settlement import Result, write_outbox, write_results
from scheduler.store.tables.jobs import job as job_table

STREAM = "plan"


class BudgetsMoved(Overtaken):
    """A budget has less left than when the plan was made."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a budget shrank while the plan was made: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A plan, whole and checked, not yet written.

    Attributes:
        kind: of its window.
        decisions: a row per job, in the order of their ids.
        inputs: digests (hex) of what it went by, and the offers that rested.  What was asked of
            its jobs is digested as it is written.
        objective: what its value adds up.
    """

    kind: str
    case: Case
    solved: Solved
    chosen: Chosen
    packing: Packing
    left: tuple[Left, ...]
    decisions: Sequence[DecisionRow]
    inputs: dict[str, Any]
    seed: int
    objective: PlanObjective

    @property
    def ended(self) -> tuple[Left, ...]:
        """The jobs that fail."""
        return tuple(one for one in self.left if one.fails)

    @property
    def reserved_nusd(self) -> int:
        return int(self.chosen.reserved_nusd.astype(object).sum())

    @property
    def cost_nusd(self) -> int:
        """Expected."""
        return int(self.chosen.cost_nusd.astype(object).sum())


def commit(conn: Connection, draft: Draft, *, policy: Policy, results_topic: str) -> int:
    """Write *draft*, made under *policy*; the plan's id.  The caller owns the transaction.

    Raises:
        JobsMoved, BudgetsMoved: the world is not as it was read; roll back, and plan again.
    """
    asked = asked_digests(conn, draft.case.window.job_id.tolist())
    draft = replace(draft, inputs=draft.inputs | {"jobs": all_asked(asked)})
    digest = decisions_digest(draft.decisions)
    plan_id = add_plan(conn, _plan_row(draft, digest))
    # First the fence: whoever changed one of the jobs is noticed before anything is built on it.
    ids = reserve_ids(conn, count=len(draft.packing.parcels))
    add_parcels(
        conn,
        draft.packing.parcels,
        ids=ids,
        plan_id=plan_id,
        attempt_limit=policy.plan.parcel_attempts,
    )
    _move_jobs(conn, draft, plan_id=plan_id, parcel_ids=ids)
    add_decisions(conn, plan_id=plan_id, rows=draft.decisions, asked=asked)
    _publish_failures(conn, draft, plan_id=plan_id, topic=results_topic)
    try:
        book(conn, _entries(draft, plan_id))
    except (BudgetExceeded, NoBudget) as error:
        raise BudgetsMoved(str(error)) from None
    prove_policy(conn, policy)
    append(conn, stream=STREAM, kind="plan", bodies=[_evidence(draft, plan_id, digest)])
    return plan_id


def _plan_row(draft: Draft, digest: bytes) -> NewPlan:
    solved = draft.solved
    return NewPlan(
        window_kind=draft.kind,
        jobs=draft.case.window.jobs,
        planned=len(draft.chosen.jobs),
        deferred=len(draft.left),
        value=solved.value,
        bound=solved.bound,
        gap=solved.gap,
        passes=solved.passes,
        solve_s=solved.seconds,
        seed=draft.seed,
        cost_nusd=draft.cost_nusd,
        reserved_nusd=draft.reserved_nusd,
        rows=_rows(draft),
        inputs=draft.inputs,
        decisions_digest=digest,
    )


def _rows(draft: Draft) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "measure": row.measure,
            "limit": row.limit,
            "use": row.use,
            "slack": row.slack,
            "price": row.price,
        }
        for row in draft.solved.rows
    ]


def _move_jobs(conn: Connection, draft: Draft, *, plan_id: int, parcel_ids: Sequence[int]) -> None:
    window, jobs = draft.case.window, draft.chosen.jobs
    planned = Planned(
        job_ids=window.job_id[jobs].tolist(),
        versions=window.version[jobs].tolist(),
        parcel_ids=np.array(parcel_ids, np.int64)[draft.packing.parcel_of].tolist(),
        reserved_nusd=draft.chosen.reserved_nusd.tolist(),
    )
    give_to_parcels(conn, planned, plan_id=plan_id, booked_on=draft.case.now.date())
    waiting = [one for one in draft.left if not one.fails]
    numbers = [one.job for one in waiting]
    put_off(
        conn,
        PutOff(
            job_ids=window.job_id[numbers].tolist(),
            versions=window.version[numbers].tolist(),
            reasons=[one.reason for one in waiting],
            not_before=[one.not_before for one in waiting],
            by_day=[one.by_day for one in waiting],
        ),
        plan_id=plan_id,
    )
    numbers = [one.job for one in draft.ended]
    ended = Ended(
        job_ids=window.job_id[numbers].tolist(), versions=window.version[numbers].tolist()
    )
    end(conn, ended, plan_id=plan_id)


def _entries(draft: Draft, plan_id: int) -> list[Entry]:
    window, jobs, day = draft.case.window, draft.chosen.jobs, draft.case.now.date()
    return [
        Entry(
            kind=EntryKind.RESERVATION,
            amount_nusd=amount_nusd,
            tenant_id=tenant_id,
            project_id=project_id,
            booked_on=day,
            job_id=job_id,
            plan_id=plan_id,
        )
        for amount_nusd, tenant_id, project_id, job_id in zip(
            draft.chosen.reserved_nusd.tolist(),
            window.tenant_id[jobs].tolist(),
            window.project_id[jobs].tolist(),
            window.job_id[jobs].tolist(),
            strict=True,
        )
        if amount_nusd
    ]


def _publish_failures(conn: Connection, draft: Draft, *, plan_id: int, topic: str) -> None:
    """Results and outbox rows of the jobs that fail: once each, for a job ends once."""
    if not draft.ended:
        return
    numbers = {int(draft.case.window.job_id[one.job]): one for one in draft.ended}
    jobs = conn.execute(
        select(
            job_table.c.id,
            job_table.c.tenant_id,
            job_table.c.project_id,
            job_table.c.key,
            job_table.c.task,
            job_table.c.tags,
            job_table.c.spent_nusd,
            job_table.c.finished_at,
        ).where(job_table.c.id == func.any(list(numbers)))
    ).all()
    write_results(
        conn,
        [
            Result(
                job_id=row.id,
                tenant_id=row.tenant_id,
                status=JobState.FAILED,
                output=None,
                reason=numbers[row.id].reason,
                attempt_id=None,
                offer_id=None,
                reduction=None,
                cost_nusd=row.spent_nusd,
                quality_ppm=None,
                digest=hashlib.sha256(numbers[row.id].reason.encode()).digest(),
            )
            for row in jobs
        ],
    )
    paths = draft.case.reading.project_paths
    messages = [
        (row.key, _message(row, numbers[row.id].reason, paths[row.project_id], plan_id))
        for row in jobs
        # Nobody waits for a judging.
        if row.task != Task.JUDGE
    ]
    write_outbox(conn, topic=topic, messages=messages)


def _message(row: Any, reason: str, scope: str, plan_id: int) -> str:
    """The event on `documents.results` of a job that got no answer."""
    return json.dumps(
        {
            "job_id": row.key,
            "scope": scope,
            "task": row.task,
            "status": JobState.FAILED,
            "reason": reason,
            "output": None,
            "cost_usd": f"{usd_from_nusd(row.spent_nusd):f}",
            "tags": row.tags,
            "plan_id": plan_id,
            "finished_at": row.finished_at.astimezone(UTC).isoformat(),
        },
        ensure_ascii=False,
    )


def _evidence(draft: Draft, plan_id: int, digest: bytes) -> dict[str, Any]:
    case = draft.case
    return {
        "plan": plan_id,
        "window": draft.kind,
        "planned_at": _text(case.now),
        "jobs": case.window.jobs,
        "planned": len(draft.chosen.jobs),
        "deferred": len(draft.left),
        "failed": len(draft.ended),
        "objective": draft.objective,
        "value": draft.solved.value,
        "bound": draft.solved.bound,
        "gap": draft.solved.gap,
        "passes": draft.solved.passes,
        "solve_s": draft.solved.seconds,
        "rows": _rows(draft),
        "seed": draft.seed,
        "cost_nusd": draft.cost_nusd,
        "reserved_nusd": draft.reserved_nusd,
        "inputs": draft.inputs,
        "decisions_digest": digest.hex(),
    }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
