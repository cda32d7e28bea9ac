"""What the tests of money have in common: projects, budgets and entries."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from scheduler.domain.ledger import EntryKind
from scheduler.store.budgets import BudgetLine, list_budgets, set_budget
from scheduler.store.ledger import Entry
from scheduler.store.scopes import ensure_scope

DAY = date(2026, 11, 24)
MONTH = (date(2026, 11, 1), date(2026, 12, 1))
YEAR = (date(2026, 1, 1), date(2027, 1, 1))
PROJECT = "acme/legal/contracts"
CALL = UUID(int=7)


def budget(
    conn: Connection,
    path: str,
    limit_nusd: int,
    period: tuple[date, date] = MONTH,
    *,
    by: str = "finance",
) -> None:
    """Set a budget for the scope at *path*."""
    scope = ensure_scope(conn, path)
    starts_on, ends_on = period
    set_budget(
        conn, scope_id=scope.id, starts_on=starts_on, ends_on=ends_on, limit_nusd=limit_nusd, by=by
    )


def entry(
    conn: Connection, kind: EntryKind, amount_nusd: int, *, project: str = PROJECT, **fields: Any
) -> Entry:
    """An entry for *project*; spending is by one call."""
    scope = ensure_scope(conn, project)
    is_spent = kind not in (EntryKind.RESERVATION, EntryKind.RELEASE)
    return Entry(
        kind=kind,
        amount_nusd=amount_nusd,
        tenant_id=scope.tenant_id,
        project_id=scope.id,
        **{"booked_on": DAY, "job_id": 1, "attempt_id": CALL if is_spent else None} | fields,
    )


def line(conn: Connection, path: str, period: tuple[date, date] = MONTH) -> BudgetLine:
    """How the budget of *path* stands."""
    [found] = [
        one
        for one in list_budgets(conn)
        if (one.scope, one.starts_on, one.ends_on) == (path, *period)
    ]
    return found


def figures(conn: Connection, path: str, period: tuple[date, date] = MONTH) -> tuple[int, ...]:
    """(spent, reserved, free, overrun) of the budget of *path*, in nUSD."""
    found = line(conn, path, period)
    return found.spent_nusd, found.reserved_nusd, found.free_nusd, found.overrun_nusd
