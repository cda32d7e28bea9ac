"""`apportion status`: how the service stands at this moment."""

import time
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from sqlalchemy import Connection, Engine, func, select

from scheduler.cli.budget import budgets_table
from scheduler.cli.budget import shown as budget_shown
from scheduler.cli.context import open_service
from scheduler.cli.printing import duration_text, money_row, print_json, print_tables, table
from scheduler.domain.money import usd_text
from scheduler.settings import read_settings
from scheduler.store.budgets import list_budgets
from scheduler.store.connect import snapshot
from scheduler.store.status import (
    Backlog,
    Judging,
    QueueLine,
    backlog,
    deferrals,
    judging,
    parcels,
    positions,
    queue,
    resting,
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object; money in nUSD (1e-9 USD).")
@click.option(
    "--watch",
    "every_s",
    type=click.FloatRange(min=0.2),
    metavar="SECONDS",
    help="Show it again every so many seconds, until Ctrl-C.",
)
def command(*, as_json: bool, every_s: float | None) -> None:
    """Show the queue, the work under way, today's budgets, and what needs a person.

    Calls of unknown outcome keep their money set aside until they are resolved; dead letters
    are messages that were turned away; a resting offer failed too often, or asked for a pause,
    and is left alone.
    """
    with open_service(read_settings()) as service:
        if every_s is None:
            _show(_gather(service.engine), as_json=as_json)
        elif as_json:
            raise click.UsageError("--watch is for people; leave out --json")
        else:
            _watch(service.engine, every_s)


def _gather(engine: Engine) -> dict[str, Any]:
    with snapshot(engine) as conn:
        now = _now(conn)
        return {
            "at": now,
            "queue": queue(conn),
            "deferrals": deferrals(conn),
            "parcels": parcels(conn),
            "resting": resting(conn),
            "budgets": list_budgets(conn, on=now.date()),
            "backlog": backlog(conn),
            "judging": judging(conn),
            "positions": positions(conn),
        }


def _now(conn: Connection) -> datetime:
    return conn.execute(select(func.now())).scalar_one().astimezone(UTC)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if not as_json:
        print_tables(_tables(found))
        return
    print_json(found | {"budgets": [budget_shown(line) for line in found["budgets"]]})


def _watch(engine: Engine, every_s: float) -> None:
    with Live(Group(*_tables(_gather(engine))), auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            live.update(Group(*_tables(_gather(engine))), refresh=True)


def _tables(found: dict[str, Any]) -> list[Table]:
    listed = [
        ("Deferred", "deferrals", ("reason", "jobs")),
        ("Parcels", "parcels", ("provider", "state", "parcels", "jobs", "overdue")),
        ("Resting offers", "resting", ("offer", "why", "resting_until", "last_error")),
        ("Kafka positions", "positions", ("topic", "partition", "next_offset")),
    ]
    shown = [_queue_table(found["queue"])] if found["queue"] else []
    shown += [
        table(
            title,
            [_heading(name) for name in columns],
            [money_row(line, columns) for line in lines],
        )
        for title, key, columns in listed
        if (lines := found[key])
    ]
    if found["budgets"]:
        shown.append(budgets_table("Budgets today", found["budgets"]))
    return [*shown, _backlog_table(found["backlog"], found["judging"])]


def _queue_table(lines: list[QueueLine]) -> Table:
    about = {True: ", about", False: ""}
    rows = [
        (line.state + about[line.estimated], line.run_when, line.provider, line.jobs)
        for line in lines
    ]
    return table("Jobs", ("state", "window", "provider", "jobs"), rows)


def _heading(name: str) -> str:
    return name.removesuffix("_nusd").replace("_", " ")


def _backlog_table(found: Backlog, judged: Judging) -> Table:
    last = f", the last at {found.dead_letter_at:%Y-%m-%d %H:%M}" if found.dead_letter_at else ""
    waited = f", the oldest for {duration_text(found.outbox_wait_s)}" if found.outbox else ""
    rows = [
        ("oldest job waiting", duration_text(found.oldest_wait_s)),
        ("calls under way", f"{found.calls_open:,}"),
        (
            "calls of unknown outcome",
            f"{found.calls_unknown:,}, {usd_text(found.unknown_nusd)} kept for them",
        ),
        ("outbox, not yet sent", f"{found.outbox:,}{waited}"),
        ("dead letters", f"{found.dead_letters:,}{last}"),
    ]
    if judged.jobs:
        paid = usd_text(judged.spent_nusd)
        rows.append(("judgings begun today", f"{judged.jobs:,}, {judged.done:,} done, for {paid}"))
    return table("Backlog", ("what", "how much"), rows)
