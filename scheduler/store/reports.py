"""What finance asks for: budgets held against the ledger, and where the money went."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import BigInteger, Connection, Text, cast, column, func, select, table, text

from scheduler.domain.ledger import BILLED_BY, OVERRUN_BY, RESERVED_BY, SPENT_BY, WASTE_BY
from scheduler.store.ledger_sums import of_kinds, total


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """One budget as it stands, beside what the ledger says; amounts in nUSD.

    Attributes:
        ends_on: the first day after it.
        unknown_nusd: the part of the reserved that is kept for calls of unknown outcome.
        waste_nusd: the part of the spent that bought no answer that was used.
        judging_nusd: the part of the spent, waste included, that went to judges.
        ledger_*: the same figures, added up from the ledger alone.
    """

    scope: str
    kind: str
    starts_on: date
    ends_on: date
    limit_nusd: int
    spent_nusd: int
    reserved_nusd: int
    overrun_nusd: int
    unknown_nusd: int
    waste_nusd: int
    judging_nusd: int
    ledger_spent_nusd: int
    ledger_reserved_nusd: int
    ledger_overrun_nusd: int

    @property
    def free_nusd(self) -> int:
        return self.limit_nusd - self.spent_nusd - self.reserved_nusd

    @property
    def is_proven(self) -> bool:
        """Whether the budget's own figures are the ledger's, to the nano-dollar."""
        return not self.mismatches()

    def mismatches(self) -> list[str]:
        """The figures that are not the ledger's, and what the ledger says."""
        figures = {
            "spent": (self.spent_nusd, self.ledger_spent_nusd),
            "reserved": (self.reserved_nusd, self.ledger_reserved_nusd),
            "overrun": (self.overrun_nusd, self.ledger_overrun_nusd),
        }
        return [
            f"{figure} {kept} nUSD against the ledger's {proven}"
            for figure, (kept, proven) in figures.items()
            if kept != proven
        ]


# The ledger is added up once, by project and day; only then is it spread over the budgets.
_STANDINGS = text(f"""
    WITH booked AS (
        SELECT project_id, booked_on, {total(SPENT_BY)} AS spent, {total(RESERVED_BY)} AS reserved,
               {total(OVERRUN_BY)} AS overrun, {total(WASTE_BY)} AS waste,
               0 AS unknown, 0 AS judging
        FROM ledger GROUP BY project_id, booked_on
      UNION ALL
        SELECT job.project_id, attempt.booked_on, 0, 0, 0, 0, sum(attempt.reserved_nusd), 0
        FROM attempt JOIN job ON job.id = attempt.job_id
        WHERE attempt.state = 'unknown' GROUP BY job.project_id, attempt.booked_on
      UNION ALL
        SELECT ledger.project_id, ledger.booked_on, 0, 0, 0, 0, 0, {total(SPENT_BY)}
        FROM job JOIN ledger ON ledger.job_id = job.id
        WHERE job.task = 'judge' AND {of_kinds(SPENT_BY)}
        GROUP BY ledger.project_id, ledger.booked_on
    ), borne AS (
        SELECT budget.id, sum(spent) AS spent, sum(reserved) AS reserved, sum(overrun) AS overrun,
               sum(waste) AS waste, sum(unknown) AS unknown, sum(judging) AS judging
        FROM booked
        JOIN scope project ON project.id = booked.project_id
        JOIN scope team ON team.id = project.parent_id
        JOIN budget ON budget.scope_id IN (project.id, team.id, team.parent_id)
                   AND booked_on >= starts_on AND booked_on < ends_on
        GROUP BY budget.id
    )
    SELECT scope.path AS scope, scope.kind, starts_on, ends_on, limit_nusd,
           spent_nusd, reserved_nusd, overrun_nusd,
           coalesce(borne.unknown, 0)::bigint AS unknown_nusd,
           coalesce(borne.waste, 0)::bigint AS waste_nusd,
           coalesce(borne.judging, 0)::bigint AS judging_nusd,
           coalesce(borne.spent, 0)::bigint AS ledger_spent_nusd,
           coalesce(borne.reserved, 0)::bigint AS ledger_reserved_nusd,
           coalesce(borne.overrun, 0)::bigint AS ledger_overrun_nusd
    FROM budget
    JOIN scope ON scope.id = budget.scope_id
    LEFT JOIN borne ON borne.id = budget.id
    WHERE ends_on > :starts_on AND starts_on < :ends_on
    ORDER BY scope.path, starts_on, ends_on
""")  # noqa: S608 - kinds of ours


def budget_standings(conn: Connection, *, starts_on: date, ends_on: date) -> list[BudgetStanding]:
    """Every budget that touches the days from *starts_on* up to, not including, *ends_on*."""
    rows = conn.execute(_STANDINGS, {"starts_on": starts_on, "ends_on": ends_on})
    return [BudgetStanding(**row._asdict()) for row in rows]


def billed(conn: Connection) -> int:
    """What all calls cost, in nUSD, whether a budget had it or not."""
    every = text(f"SELECT {total(BILLED_BY)}::bigint FROM ledger")  # noqa: S608 - kinds of ours
    nusd: int = conn.execute(every).scalar_one()
    return nusd


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """What was spent under one heading; amounts in nUSD, *waste_nusd* is not in *used_nusd*."""

    heading: str
    used_nusd: int
    waste_nusd: int
    overrun_nusd: int
    calls: int


_SPEND = table(
    "finance_spend",
    *map(column, ("organisation", "team", "project", "booked_on", "provider", "offer")),
    *map(column, ("used_nusd", "waste_nusd", "overrun_nusd", "calls")),
)
HEADINGS = {
    "day": _SPEND.c.booked_on,
    "offer": _SPEND.c.offer,
    "organisation": _SPEND.c.organisation,
    "project": _SPEND.c.project,
    "provider": _SPEND.c.provider,
    "team": _SPEND.c.team,
}
"""By what spending can be listed."""


def spend(conn: Connection, *, by: str, starts_on: date, ends_on: date) -> list[SpendLine]:
    """What was spent on the days from *starts_on* up to, not including, *ends_on*.

    *by* is one of `HEADINGS`; the lines are in its order.
    """
    heading = cast(HEADINGS[by], Text)
    lines = (
        select(
            heading.label("heading"),
            *(
                cast(func.sum(_SPEND.c[figure]), BigInteger).label(figure)
                for figure in ("used_nusd", "waste_nusd", "overrun_nusd", "calls")
            ),
        )
        .where(_SPEND.c.booked_on >= starts_on, _SPEND.c.booked_on < ends_on)
        .group_by(heading)
        .order_by(heading)
    )
    return [SpendLine(**row._asdict()) for row in conn.execute(lines)]
