"""The ledger and the budgets it moves, always together."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, func, select, text

from scheduler.domain.errors import BudgetExceeded, Refused
from scheduler.domain.ledger import Balance, EntryKind
from scheduler.store.bulk import copy_rows

# Held shared by whoever books, and alone by whoever makes a budget from what was booked.
BOOKING = (4120, 2)


class NoBudget(Refused):
    """Money was to be set aside for a project that no budget covers on that day."""

    def __init__(self, *, project_id: int, day: date) -> None:
        super().__init__(
            f"no budget covers project {project_id} on {day}; make one with `apportion budget set`"
        )
        self.project_id = project_id
        self.day = day


class Entry(NamedTuple):
    """One ledger entry to be written; the fields in the order of `COLUMNS`.

    A tuple: they are made by the hundred thousand.

    Attributes:
        amount_nusd: above zero; an entry of nothing is not written.
        booked_on: the day whose budgets bear it: that of the reservation it belongs to.
    """

    kind: EntryKind
    amount_nusd: int
    tenant_id: int
    project_id: int
    booked_on: date
    job_id: int
    plan_id: int | None = None
    attempt_id: UUID | str | None = None
    offer_id: int | None = None


COLUMNS = (
    "kind",
    "amount_nusd",
    "tenant_id",
    "project_id",
    "booked_on",
    "job_id",
    "plan_id",
    "attempt_id",
    "offer_id",
)

_TOUCHED = text("""
    SELECT moved.project_id, moved.day, budget.id, scope.path,
           budget.limit_nusd - budget.spent_nusd - budget.reserved_nusd AS free_nusd
    FROM unnest(CAST(:projects AS int[]), CAST(:days AS date[])) AS moved (project_id, day)
    JOIN scope project ON project.id = moved.project_id
    JOIN scope team ON team.id = project.parent_id
    JOIN budget ON budget.scope_id IN (project.id, team.id, team.parent_id)
               AND moved.day >= budget.starts_on AND moved.day < budget.ends_on
    JOIN scope ON scope.id = budget.scope_id
    ORDER BY budget.id
    FOR UPDATE OF budget
""")

_MOVE = text("""
    UPDATE budget
    SET reserved_nusd = reserved_nusd + moved.reserved,
        spent_nusd = spent_nusd + moved.spent,
        overrun_nusd = overrun_nusd + moved.overrun
    FROM unnest(CAST(:ids AS int[]), CAST(:reserved AS bigint[]), CAST(:spent AS bigint[]),
                CAST(:overrun AS bigint[])) AS moved (id, reserved, spent, overrun)
    WHERE budget.id = moved.id
""")


def book(conn: Connection, entries: Sequence[Entry]) -> None:
    """Write *entries* and move every budget that bears them, or neither.

    Locks those budgets until the caller's transaction ends, so it is called late in it.

    Raises:
        BudgetExceeded: a budget would have less than nothing free.
        NoBudget: a reservation's project has no budget on its day.
    """
    if not entries:
        return
    conn.execute(select(func.pg_advisory_xact_lock_shared(*BOOKING)))
    moved = _sums(entries)
    _move_budgets(conn, moved)
    copy_rows(conn, "ledger", COLUMNS, entries)


def grant(
    conn: Connection,
    asks: Sequence[tuple[int, date, int]],
    *,
    booking: Iterable[Entry] = (),
) -> list[bool]:
    """Which of *asks* (project, day, nUSD), in their order, the budgets have the money for.

    Those budgets stay locked until the caller's transaction ends, so that what is granted is
    still there when its reservation is booked.  *booking* is what will be booked besides, and
    may give money back that the asks can have.  Its budgets are locked with theirs, since two
    transactions that each lock some first, and the others later, may wait for each other.
    """
    if not asks:
        return []
    conn.execute(select(func.pg_advisory_xact_lock_shared(*BOOKING)))
    moved = _sums(booking)
    days = {(project_id, day) for project_id, day, _ in asks} | set(moved)
    bearers: dict[tuple[int, date], list[int]] = defaultdict(list)
    free_nusd: dict[int, int] = {}
    for row in conn.execute(
        _TOUCHED, {"projects": [at[0] for at in days], "days": [at[1] for at in days]}
    ):
        bearers[row.project_id, row.day].append(row.id)
        free_nusd[row.id] = row.free_nusd
    for at, total in moved.items():
        for one in bearers[at]:
            free_nusd[one] -= total.reserved_nusd + total.spent_nusd
    granted = []
    for project_id, day, asked_nusd in asks:
        budgets = bearers[project_id, day]
        granted.append(bool(budgets) and all(free_nusd[one] >= asked_nusd for one in budgets))
        if granted[-1]:
            for one in budgets:
                free_nusd[one] -= asked_nusd
    return granted


def _sums(entries: Iterable[Entry]) -> dict[tuple[int, date], Balance]:
    amounts: dict[tuple[int, date, EntryKind], int] = defaultdict(int)
    for entry in entries:
        amounts[entry.project_id, entry.booked_on, entry.kind] += entry.amount_nusd
    sums: dict[tuple[int, date], Balance] = defaultdict(Balance)
    for (project_id, day, kind), amount_nusd in amounts.items():
        sums[project_id, day] = sums[project_id, day].after(kind, amount_nusd)
    return sums


def _move_budgets(conn: Connection, moved: dict[tuple[int, date], Balance]) -> None:
    touched = conn.execute(
        _TOUCHED, {"projects": [at[0] for at in moved], "days": [at[1] for at in moved]}
    ).all()
    covered = {(row.project_id, row.day) for row in touched}
    for (project_id, day), total in moved.items():
        if total.reserved_nusd + total.spent_nusd > 0 and (project_id, day) not in covered:
            raise NoBudget(project_id=project_id, day=day)
    sums: dict[int, Balance] = defaultdict(Balance)
    for row in touched:
        sums[row.id] = _plus(sums[row.id], moved[row.project_id, row.day])
    for row in touched:
        asked_nusd = sums[row.id].reserved_nusd + sums[row.id].spent_nusd
        if asked_nusd > row.free_nusd:
            raise BudgetExceeded(budget=row.path, asked_nusd=asked_nusd, free_nusd=row.free_nusd)
    conn.execute(
        _MOVE,
        {
            "ids": list(sums),
            "reserved": [total.reserved_nusd for total in sums.values()],
            "spent": [total.spent_nusd for total in sums.values()],
            "overrun": [total.overrun_nusd for total in sums.values()],
        },
    )


def _plus(one: Balance, other: Balance) -> Balance:
    return Balance(
        reserved_nusd=one.reserved_nusd + other.reserved_nusd,
        spent_nusd=one.spent_nusd + other.spent_nusd,
        overrun_nusd=one.overrun_nusd + other.overrun_nusd,
    )
