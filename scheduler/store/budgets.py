"""Budgets: made, changed and listed; who decided how much may be spent is on record."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, func, select, text
from sqlalchemy.dialects.postgresql import insert

from scheduler.domain.errors import Refused
from scheduler.domain.ledger import OVERRUN_BY, RESERVED_BY, SPENT_BY
from scheduler.domain.money import usd_text
from scheduler.store.evidence import append
from scheduler.store.ledger import BOOKING
from scheduler.store.ledger_sums import total
from scheduler.store.tables.money import budget
from scheduler.store.tables.scopes import scope

STREAM = "budget"
ALWAYS = date(2000, 1, 1), date(2100, 1, 1)
"""From when to when a budget is that lasts as long as whatever it is for, like a run."""


class LimitTooLow(Refused):
    """A budget was to have a limit below what it bears already."""

    def __init__(
        self, *, budget: str, limit_nusd: int, spent_nusd: int, reserved_nusd: int
    ) -> None:
        super().__init__(
            f"budget {budget} cannot be limited to {usd_text(limit_nusd)}: in its period "
            f"{usd_text(spent_nusd)} is spent already, and {usd_text(reserved_nusd)} set aside"
        )
        self.budget = budget
        self.limit_nusd = limit_nusd
        self.used_nusd = spent_nusd + reserved_nusd


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One budget as it stands; amounts in nUSD, *ends_on* is the first day after it."""

    id: int
    scope: str
    starts_on: date
    ends_on: date
    limit_nusd: int
    spent_nusd: int
    reserved_nusd: int
    overrun_nusd: int

    @property
    def free_nusd(self) -> int:
        return self.limit_nusd - self.spent_nusd - self.reserved_nusd


_BOOKED = text(f"""
    SELECT {total(RESERVED_BY)}::bigint AS reserved_nusd,
           {total(SPENT_BY)}::bigint AS spent_nusd,
           {total(OVERRUN_BY)}::bigint AS overrun_nusd
    FROM ledger
    JOIN scope project ON project.id = ledger.project_id
    JOIN scope team ON team.id = project.parent_id
    WHERE :scope_id IN (project.id, team.id, team.parent_id)
      AND booked_on >= :starts_on AND booked_on < :ends_on
""")  # noqa: S608 - kinds of ours


def set_budget(
    conn: Connection, *, scope_id: int, starts_on: date, ends_on: date, limit_nusd: int, by: str
) -> None:
    """Make the scope's budget for that period, or change its limit; the evidence says so.

    A new budget begins with what the ledger already holds for its scope and period.  *by* says
    who decided it.  The evidence's head stays locked until the caller's transaction ends.

    Raises:
        LimitTooLow: more than *limit_nusd* is already spent or set aside.
    """
    # Alone: an entry booked meanwhile would miss the new budget.
    conn.execute(select(func.pg_advisory_xact_lock(*BOOKING)))
    period = {"scope_id": scope_id, "starts_on": starts_on, "ends_on": ends_on}
    booked = conn.execute(_BOOKED, period).one()
    if booked.reserved_nusd + booked.spent_nusd > limit_nusd:
        path = conn.execute(select(scope.c.path).where(scope.c.id == scope_id)).scalar_one()
        raise LimitTooLow(
            budget=path,
            limit_nusd=limit_nusd,
            spent_nusd=booked.spent_nusd,
            reserved_nusd=booked.reserved_nusd,
        )
    there = (budget.c[name] == value for name, value in period.items())
    before_nusd = conn.execute(select(budget.c.limit_nusd).where(*there)).scalar_one_or_none()
    made = conn.execute(
        insert(budget)
        .values(limit_nusd=limit_nusd, **period, **booked._asdict())
        .on_conflict_do_update(
            index_elements=["scope_id", "starts_on", "ends_on"],
            set_={"limit_nusd": limit_nusd, "set_at": func.now()},
        )
        .returning(budget)
    ).one()
    _prove(conn, made, before_nusd=before_nusd, by=by)


def _prove(
    conn: Connection, made: Row[*tuple[Any, ...]], *, before_nusd: int | None, by: str
) -> None:
    """Chain a record of the budget as it was *made*, of a limit that was *before_nusd*."""
    # The login is the database's own word, and *by* whatever the caller said.
    path, login = conn.execute(
        select(scope.c.path, func.session_user()).where(scope.c.id == made.scope_id)
    ).one()
    body = {
        "budget": made.id,
        "scope": path,
        "starts_on": f"{made.starts_on}",
        "ends_on": f"{made.ends_on}",
        "limit_nusd": made.limit_nusd,
        "limit_before_nusd": before_nusd,
        "spent_nusd": made.spent_nusd,
        "reserved_nusd": made.reserved_nusd,
        "by": by,
        "login": login,
    }
    append(conn, stream=STREAM, kind="budget", bodies=[body])


def list_budgets(conn: Connection, *, on: date | None = None) -> list[BudgetLine]:
    """All budgets, or those of the day *on*; by scope and period."""
    lines = (
        select(
            budget.c.id,
            scope.c.path.label("scope"),
            budget.c.starts_on,
            budget.c.ends_on,
            budget.c.limit_nusd,
            budget.c.spent_nusd,
            budget.c.reserved_nusd,
            budget.c.overrun_nusd,
        )
        .join(scope, scope.c.id == budget.c.scope_id)
        .order_by(scope.c.path, budget.c.starts_on)
    )
    if on is not None:
        lines = lines.where(budget.c.starts_on <= on, budget.c.ends_on > on)
    return [BudgetLine(**row._asdict()) for row in conn.execute(lines)]
