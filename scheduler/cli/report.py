"""`apportion report`: what finance reads, from the ledger."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import click

from scheduler.cli.budget import budgets_table, today
from scheduler.cli.context import open_service
from scheduler.cli.printing import money_row, plain, print_json, print_tables, table
from scheduler.reporting.amounts import amount_columns, amounts
from scheduler.reporting.budgets import COLUMNS, FIGURES, check_proven, row
from scheduler.reporting.periods import EVER, Period, parse_period
from scheduler.settings import read_settings
from scheduler.store.connect import snapshot
from scheduler.store.reports import HEADINGS, budget_standings, spend

PERIOD_HELP = "Only what touches it: day, month, year, 2026-11, 2026-11-24 or FROM..TO."
SPEND_FIGURES = ("used", "waste", "overrun")
SPEND_COLUMNS = ("heading", *(f"{figure}_nusd" for figure in SPEND_FIGURES), "calls")


@click.group()
def command() -> None:
    """Report on money, from the ledger.

    `_usd` is in US dollars, exactly; `_nusd` in 1e-9 of them, a whole number.  The same
    figures are views in the database (finance_budget, finance_spend and others), which
    the role apportion_finance may read.
    """


@command.command()
@click.option("--period", help=PERIOD_HELP)
@click.option("--csv", "as_csv", is_flag=True, help="Print it as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def budget(*, period: str | None, as_csv: bool, as_json: bool) -> None:
    """Every budget: limit, spent, reserved, free, unknown, waste, judging, overrun.

    `spent + reserved + free = limit`, always.  Unknown is the part of reserved that is kept
    for calls whose outcome is not known; waste is the part of spent that bought nothing,
    judging that which judges were paid;
    overrun was billed beyond what any budget had.  Every figure is added up anew from the
    ledger; if one differs by a nano-dollar, it says so and the exit status is 1.
    """
    days = _days(period)
    with open_service(read_settings()) as service, snapshot(service.engine) as conn:
        standings = budget_standings(conn, starts_on=days.starts_on, ends_on=days.ends_on)
    if not (as_csv or as_json):
        print_tables([budgets_table("Budgets, and the ledger's sums", standings, FIGURES)])
    else:
        _print_rows([row(standing) for standing in standings], COLUMNS, as_csv=as_csv)
    check_proven(standings)


@command.command("spend")
@click.option(
    "--by", type=click.Choice(sorted(HEADINGS)), default="offer", show_default=True,
    help="One line for each of these.",
)  # fmt: skip
@click.option("--period", help=PERIOD_HELP)
@click.option("--csv", "as_csv", is_flag=True, help="Print it as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def spend_(*, by: str, period: str | None, as_csv: bool, as_json: bool) -> None:
    """What was spent, by offer, day, project, team, organisation or provider.

    Used bought an answer that was used; waste did not; overrun is beyond every budget.  A day
    is the one whose budgets bear it: that on which the money was set aside.
    """
    days = _days(period)
    with open_service(read_settings()) as service, snapshot(service.engine) as conn:
        lines = spend(conn, by=by, starts_on=days.starts_on, ends_on=days.ends_on)
    if not (as_csv or as_json or lines):
        click.echo("nothing was spent; `apportion status` says what is under way")
    elif not (as_csv or as_json):
        headings = [by, "used", "waste", "overrun", "calls"]
        print_tables([table("Spend", headings, [money_row(one, SPEND_COLUMNS) for one in lines])])
    else:
        rows = [
            {by: line.heading} | amounts(line, SPEND_FIGURES) | {"calls": line.calls}
            for line in lines
        ]
        _print_rows(rows, [by, *amount_columns(SPEND_FIGURES), "calls"], as_csv=as_csv)


def _days(period: str | None) -> Period:
    return EVER if period is None else parse_period(period, today=today())


def _print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_csv: bool) -> None:
    if not as_csv:
        print_json(rows)
        return
    text = io.StringIO()
    # The header without any row, too: a program reads a table with no lines, and not no table.
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(one) for one in rows)
    click.echo(text.getvalue(), nl=False)
