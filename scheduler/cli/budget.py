"""`apportion budget`: sets limits, and lists them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import click
from rich.table import Table

from scheduler.cli.context import open_service
from scheduler.cli.person import present_user
from scheduler.cli.printing import money_row, print_json, print_tables, table
from scheduler.domain.money import nusd_from_usd, usd_text
from scheduler.reporting.periods import Period, parse_period
from scheduler.settings import read_settings
from scheduler.store.budgets import BudgetLine, list_budgets, set_budget
from scheduler.store.connect import snapshot
from scheduler.store.reports import BudgetStanding
from scheduler.store.scopes import ensure_scope

FIGURES = ("limit", "spent", "reserved", "free", "overrun")


@click.group()
def command() -> None:
    """Set budgets, and list them.

    A budget is a limit for a scope (an organisation, a team or a project) and a period.  Work
    for a project needs at least one budget that covers the day, its own or one above it, and
    is borne by all that do: none of them can be exceeded.
    """


@command.command("set")
@click.argument("scope")
@click.option("--limit", required=True, metavar="USD", help="The limit, like 250 or 0.50.")
@click.option(
    "--period",
    default="month",
    show_default=True,
    help="day, month or year (the present one, UTC), 2026-11, 2026-11-24, or FROM..TO with"
    " both days included.",
)
@click.option("--by", default=present_user, help="Who decided it; the present user by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the budget as JSON.")
def set_(*, scope: str, limit: str, period: str, by: str, as_json: bool) -> None:
    """Make the budget of SCOPE (like acme, acme/legal or acme/legal/contracts), or change it.

    The scope is made if it is not there.  A limit below what is already spent or set aside is
    refused.  A new budget begins with what its scope has already spent in its period.  The audit
    trail says who set which limit, and what it was before.
    """
    limit_nusd = nusd_from_usd(limit)
    days = parse_period(period, today=today())
    with open_service(read_settings()) as service:
        with service.engine.begin() as conn:
            made = ensure_scope(conn, scope)
            set_budget(
                conn,
                scope_id=made.id,
                starts_on=days.starts_on,
                ends_on=days.ends_on,
                limit_nusd=limit_nusd,
                by=by,
            )
        with snapshot(service.engine) as conn:
            line = _line(list_budgets(conn), scope=scope, days=days)
    if as_json:
        print_json(shown(line))
    else:
        click.echo(
            f"{scope} may spend {usd_text(limit_nusd)} in {days}; {usd_text(line.free_nusd)} free"
        )


@command.command("list")
@click.option("--all", "every", is_flag=True, help="Past and coming periods, too.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON; money in nUSD.")
def list_(*, every: bool, as_json: bool) -> None:
    """List the budgets of today (UTC): limit, spent, set aside, free."""
    with open_service(read_settings()) as service, snapshot(service.engine) as conn:
        lines = list_budgets(conn, on=None if every else today())
    if as_json:
        print_json([shown(line) for line in lines])
    elif lines:
        print_tables([budgets_table("Budgets", lines)])
    else:
        click.echo("no budget covers today; make one with `apportion budget set SCOPE --limit USD`")


def today() -> date:
    """Today in UTC: the day whose budgets bear what is set aside now."""
    return datetime.now(UTC).date()


def budgets_table(
    title: str,
    lines: Sequence[BudgetLine] | Sequence[BudgetStanding],
    figures: Sequence[str] = FIGURES,
) -> Table:
    """A line for each budget: its scope and period, and its *figures* as money."""
    rows = [
        [
            line.scope,
            Period(starts_on=line.starts_on, ends_on=line.ends_on),
            *money_row(line, [f"{figure}_nusd" for figure in figures]),
        ]
        for line in lines
    ]
    return table(title, ["scope", "period", *figures], rows)


def shown(line: BudgetLine) -> dict[str, object]:
    """A budget as programs read it."""
    days = {"scope": line.scope, "starts_on": line.starts_on, "ends_on": line.ends_on}
    return days | {f"{figure}_nusd": getattr(line, f"{figure}_nusd") for figure in FIGURES}


def _line(lines: list[BudgetLine], *, scope: str, days: Period) -> BudgetLine:
    [line] = [
        line
        for line in lines
        if (line.scope, line.starts_on, line.ends_on) == (scope, days.starts_on, days.ends_on)
    ]
    return line
