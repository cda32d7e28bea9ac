"""Calls that were posted at a wrong cost, corrected: a mistake is answered by other entries."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, text

from scheduler.domain.errors import Refused
from scheduler.domain.ledger import CREDIT_OF, OVERRUN_BY, EntryKind
from scheduler.domain.work import AttemptState
from scheduler.store.bulk import numbers
from scheduler.store.evidence import append
from scheduler.store.ledger import Entry
from scheduler.store.ledger_sums import total
from scheduler.store.resolution import STREAM, book_with_shorts, entry_of
from scheduler.store.settlement import lock_jobs
from scheduler.store.tables.work import attempt

_INSTEAD = {
    AttemptState.UNKNOWN: "is of unknown outcome; `apportion attempts resolve` says what it cost",
    AttemptState.STARTED: "is not over; its worker will say what it cost",
    None: "is not in this database",
}


class NotPosted(Refused):
    """A call's cost was to be corrected that has none yet."""

    def __init__(self, attempt_id: UUID, state: AttemptState | None) -> None:
        super().__init__(f"attempt {attempt_id} {_INSTEAD[state]}; nothing was corrected")
        self.attempt_id = attempt_id
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a call really cost: 0 where it should not have been billed."""

    attempt_id: UUID
    cost_nusd: int


# What is a call's, and in which kinds of entries it stands.
_POSTED = text(f"""
    SELECT attempt.id, attempt.started_at, attempt.state, attempt.cost_nusd, attempt.job_id,
           attempt.offer_id, attempt.booked_on, job.tenant_id, job.project_id, job.plan_id,
           (SELECT {total(OVERRUN_BY)}::bigint FROM ledger
            WHERE ledger.job_id = job.id AND ledger.attempt_id = attempt.id) AS overrun_nusd
    FROM attempt JOIN job ON job.id = attempt.job_id
    WHERE attempt.id = ANY(CAST(:ids AS uuid[]))
    ORDER BY attempt.id
    FOR UPDATE OF attempt
""")  # noqa: S608 - kinds of ours

_SET = text("""
    UPDATE attempt SET cost_nusd = posted.cost_nusd
    FROM unnest(CAST(:ids AS uuid[]), CAST(:started AS timestamptz[]), CAST(:costs AS bigint[]))
         AS posted (id, started_at, cost_nusd)
    WHERE attempt.id = posted.id AND attempt.started_at = posted.started_at
""")

_MOVE = text("""
    UPDATE job SET spent_nusd = spent_nusd + moved.nusd
    FROM unnest(CAST(:ids AS bigint[]), CAST(:nusd AS bigint[])) AS moved (id, nusd)
    WHERE job.id = moved.id
""")


def correct(conn: Connection, corrections: Sequence[Correction], *, by: str, why: str) -> int:
    """Post what calls really cost; how many of *corrections* (one per call) changed anything.

    What was too much goes back to the budgets that bore it, first what no budget had.  What was
    too little is asked of them; what they cannot bear is an overrun.  *by* says who knew, and *why*
    what from.

    Raises:
        NotPosted: one of the calls has no cost yet, or was never made.
    """
    costs = {one.attempt_id: one.cost_nusd for one in corrections}
    wrong = [row for row in _lock(conn, list(costs)) if costs[row.id] != row.cost_nusd]
    if not wrong:
        return 0
    more_nusd: Counter[int] = Counter()
    for row in wrong:
        more_nusd[row.job_id] += costs[row.id] - row.cost_nusd
    conn.execute(_MOVE, {"ids": list(more_nusd), "nusd": list(more_nusd.values())})
    conn.execute(
        _SET,
        {
            "ids": [row.id for row in wrong],
            "started": [row.started_at for row in wrong],
            "costs": numbers(costs[row.id] for row in wrong),
        },
    )
    _book(conn, [(row, costs[row.id] - row.cost_nusd) for row in wrong])
    # The login is the database's own word, and *by* whatever the caller said.
    login = conn.execute(select(func.session_user())).scalar_one()
    told = {"by": by, "login": login, "why": why}
    bodies = [
        {"attempt": str(row.id), "cost_nusd": costs[row.id], "cost_before_nusd": row.cost_nusd}
        for row in wrong
    ]
    append(conn, stream=STREAM, kind="correction", bodies=[body | told for body in bodies])
    return len(wrong)


def _lock(conn: Connection, attempt_ids: list[UUID]) -> Sequence[Row[*tuple[Any, ...]]]:
    """The calls of *attempt_ids*, all of them posted; they and their jobs locked."""
    jobs = select(attempt.c.job_id).where(attempt.c.id.in_(attempt_ids)).distinct()
    lock_jobs(conn, list(conn.execute(jobs).scalars()))
    found = conn.execute(_POSTED, {"ids": attempt_ids}).all()
    states = {row.id: AttemptState(row.state) for row in found if row.cost_nusd is None}
    there = {row.id for row in found}
    for attempt_id in attempt_ids:
        if attempt_id in states or attempt_id not in there:
            raise NotPosted(attempt_id, states.get(attempt_id))
    return found


def _book(conn: Connection, changes: Sequence[tuple[Row[*tuple[Any, ...]], int]]) -> None:
    """Write the entries of *changes*: a call, and how much more (or less) than was posted, nUSD."""
    entries: list[Entry] = []
    for row, more_nusd in changes:
        if (less_nusd := -more_nusd) > 0:
            owed_nusd = min(less_nusd, row.overrun_nusd)
            parts = {EntryKind.OVERRUN: owed_nusd, _kind(row): less_nusd - owed_nusd}
            entries += [
                entry_of(row, CREDIT_OF[kind], nusd) for kind, nusd in parts.items() if nusd
            ]
    shorts = [(row, _kind(row), more_nusd) for row, more_nusd in changes if more_nusd > 0]
    book_with_shorts(conn, entries, shorts)


def _kind(row: Row[*tuple[Any, ...]]) -> EntryKind:
    return EntryKind.POSTING if row.state == AttemptState.SUCCEEDED else EntryKind.WASTE
