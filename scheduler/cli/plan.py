"""`apportion plan`: shows the plan for what is queued, or makes it now."""

import os
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import load_catalog
from scheduler.cli.context import embedder_of, open_service
from scheduler.cli.printing import print_json, print_tables, table
from scheduler.domain.money import NUSD_PER_USD, usd_text
from scheduler.domain.policy import PlanObjective
from scheduler.planning import planner
from scheduler.planning.exploring import EXPLORED
from scheduler.planning.limits import COST
from scheduler.planning.outcome import LimitLine, OptionLine, PlanOutcome, ReasonLine
from scheduler.planning.waves import EXPECTED
from scheduler.planning.window import WindowKind
from scheduler.settings import read_settings
from scheduler.store.offers import sync_catalog

OPTIONS = (
    "offer",
    "text kept",
    "jobs",
    "short of best",
    "quality",
    "at least",
    "cost",
    "set aside",
)
LIMITS = ("limit", "of", "used", "left", "one more buys")
REASONS = ("jobs", "what happens", "why", "for one of them")
MONEY = (COST, EXPECTED)
KEPT = {"none": "all", "light": "half", "strong": "a fifth"}


@click.command()
@click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing.")
@click.option("--now", "at_once", is_flag=True, help="Make the plan, and hand the work out.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object, null where nothing is queued; money in nUSD.",
)
def command(*, dry_run: bool, at_once: bool, as_json: bool) -> None:
    """Plan the queue: which offer gets which job, so that the budgets buy the most.

    The service plans by itself, every few seconds and at night.  This command shows what it
    would do with all that is queued (--dry-run), or closes the window now (--now): jobs that
    wait for the night are planned too, and so are those that were put off.

    Shown are: how many jobs go where; the plan's value (quality that is at least expected,
    weighted by priority; dollars, where the policy's objective is earnings or encs), the
    bound that no plan can exceed, and the gap between them; what one more dollar would buy in
    each budget; how many jobs explore offers of which little is known; and why jobs wait.
    """
    if dry_run == at_once:
        raise click.UsageError("say --dry-run to see the plan, or --now to make it")
    outcome = _shown() if dry_run else _made()
    if as_json:
        print_json(outcome)
    elif outcome is None:
        click.echo("nothing is queued; see `apportion submit --help`")
    else:
        print_outcome(outcome)


def _shown() -> PlanOutcome | None:
    settings, now = read_settings(), datetime.now(UTC)
    listings = offers_on(load_catalog(settings.catalog), today=now.date(), environ=os.environ)
    with open_service(settings) as service:
        return planner.dry_run(
            service.engine,
            kind=WindowKind.ASKED,
            now=now,
            policy=settings.policies,
            listings=listings,
            embedder=embedder_of(settings),
        )


def _made() -> PlanOutcome | None:
    settings, now = read_settings(), datetime.now(UTC)
    listings = offers_on(load_catalog(settings.catalog), today=now.date(), environ=os.environ)
    with open_service(settings) as service:
        with service.engine.begin() as conn:
            sync_catalog(conn, listings)
        return planner.plan_window(
            service.engine,
            kind=WindowKind.ASKED,
            now=now,
            policy=settings.policies,
            results_topic=settings.results_topic,
            embedder=embedder_of(settings),
        )


def print_outcome(outcome: PlanOutcome) -> None:
    """Print *outcome* for a person."""
    what = "Plan, not made" if outcome.plan_id is None else f"Plan {outcome.plan_id}"
    click.echo(
        f"{what}: {outcome.planned:,} of {outcome.jobs:,} jobs go to work,"
        f" {outcome.deferred - outcome.failed:,} wait, {outcome.failed:,} fail."
    )
    value, bound = (_worth(one, outcome.objective) for one in (outcome.value, outcome.bound))
    click.echo(
        f"Value {value}; no plan is worth more than {bound}"
        f" (gap {outcome.gap:.2%}); solved in {outcome.solve_s:.2f} s."
    )
    click.echo(
        f"Expected cost {usd_text(outcome.cost_nusd)}, set aside {usd_text(outcome.reserved_nusd)}."
    )
    tables = [
        table("Where the jobs go", OPTIONS, map(_option, outcome.options)),
        _limits(outcome.limits, outcome.objective),
        table("Jobs left out", REASONS, map(_reason, outcome.reasons)),
    ]
    print_tables(one for one in tables if one.row_count)


def _worth(value: float, objective: str) -> str:
    if objective == PlanObjective.QUALITY:
        return f"{value:,.2f}"
    return f"${value:,.6f} ({objective})"


def _option(line: OptionLine) -> list[Any]:
    return [
        line.offer,
        KEPT[line.reduction],
        line.jobs,
        line.short_of_best,
        f"{line.quality:.3f}",
        f"{line.lower:.3f}",
        usd_text(line.cost_nusd),
        usd_text(line.reserved_nusd),
    ]


def _limits(lines: tuple[LimitLine, ...], objective: str) -> Table:
    """Budgets first; of the rate limits, those that hold the plan back; what is explored."""
    budgets = [line for line in lines if line.measure in MONEY]
    explored = [line for line in lines if line.measure == EXPLORED]
    rates = [line for line in lines if line not in budgets + explored and line.price > 0]
    return table(
        "What holds the plan back",
        LIMITS,
        (_limit(line, objective) for line in budgets + rates + explored),
    )


def _limit(line: LimitLine, objective: str) -> list[Any]:
    value = "of value" if objective == PlanObjective.QUALITY else f"USD of {objective}"
    if line.measure in MONEY:
        figures = [usd_text(one) for one in (line.limit, line.use, line.limit - line.use)]
        gain = line.price * NUSD_PER_USD
    else:
        figures = [f"{one:,}" for one in (line.limit, line.use, abs(line.limit - line.use))]
        gain = line.price
    if line.measure == EXPLORED:
        # At least so many: what it costs, not what more of it buys.
        figures[0] = f"at least {figures[0]}"
        return [line.name, *figures, f"costs {gain:.4g} {value}" if gain else "nothing"]
    return [line.name, *figures, f"{gain:.4g} {value}" if line.price else "nothing"]


def _reason(line: ReasonLine) -> list[Any]:
    detail = line.example.removeprefix(line.reason).removeprefix(": ")
    return [line.jobs, "fail" if line.fails else "wait", line.reason, detail or None]
