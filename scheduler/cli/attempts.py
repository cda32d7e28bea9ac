"""`apportion attempts`: what calls turned out to cost that nobody knew of, or that was wrong."""

from typing import TextIO
from uuid import UUID

import click

from scheduler.cli.context import open_service
from scheduler.cli.corrections_file import read_corrections
from scheduler.cli.person import present_user
from scheduler.cli.printing import money_row, print_json, print_tables, table
from scheduler.domain.money import nusd_from_usd, usd_text
from scheduler.settings import read_settings
from scheduler.store.connect import snapshot
from scheduler.store.corrections import Correction, correct
from scheduler.store.posted_calls import calls_of, corrections_of
from scheduler.store.resolution import Resolution, list_unknown, resolve

COLUMNS = ("id", "started_at", "job", "offer", "reserved_nusd", "request_id", "error")
POSTED_COLUMNS = ("id", "started_at", "project", "job", "offer", "state", "cost_nusd", "request_id")


@click.group()
def command() -> None:
    """List calls of unknown outcome, and resolve them; correct what was posted.

    A worker that died, or an answer without its usage, leaves a call of which nobody knows
    whether, or at what price, it was billed.  Its money stays set aside until somebody who has
    seen the provider's bill says what it cost.  A call that was posted at a cost that the bill
    does not say is corrected; the ledger keeps both.
    """


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=1_000, show_default=True, help="At most.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON; money in nUSD.")
def list_(*, limit: int, as_json: bool) -> None:
    """List the calls of unknown outcome, oldest first."""
    with open_service(read_settings()) as service, snapshot(service.engine) as conn:
        unknown = list_unknown(conn, limit=limit)
    if as_json:
        print_json(unknown)
    elif unknown:
        headings = ("attempt", "started", "job", "offer", "kept", "request", "error")
        rows = [money_row(one, COLUMNS) for one in unknown]
        print_tables([table("Calls of unknown outcome", headings, rows)])
    else:
        click.echo("every call's outcome is known")


@command.command("resolve")
@click.argument("attempt_id", type=click.UUID)
@click.option(
    "--cost", required=True, metavar="USD", help="What the bill says; 0 if it is not on it."
)
@click.option("--input-tokens", type=click.IntRange(0), help="As the bill says.")
@click.option("--output-tokens", type=click.IntRange(0), help="As the bill says.")
@click.option("--by", default=present_user, help="Who knew; the present user if not given.")
def resolve_(
    *,
    attempt_id: UUID,
    cost: str,
    input_tokens: int | None,
    output_tokens: int | None,
    by: str,
) -> None:
    """Say what the call ATTEMPT_ID cost.

    The cost is posted, the rest of what was kept is given back, and the audit trail says who
    knew.  It can be said once.
    """
    resolution = Resolution(
        attempt_id=attempt_id,
        cost_nusd=nusd_from_usd(cost),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )
    with open_service(read_settings()) as service, service.engine.begin() as conn:
        resolve(conn, resolution, by=by)
    click.echo(f"attempt {attempt_id} cost {usd_text(resolution.cost_nusd)}")


@command.command()
@click.option("--job", "job_key", metavar="JOB_ID", help="The calls for this job.")
@click.option("--request", "request_id", metavar="ID", help="The call that a provider names so.")
@click.option("--limit", type=click.IntRange(1), default=1_000, show_default=True, help="At most.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON; money in nUSD.")
def show(*, job_key: str | None, request_id: str | None, limit: int, as_json: bool) -> None:
    """Show the calls for a job, or of a provider's request, and what each cost.

    Where calls were corrected, the cost is the corrected one.
    """
    if job_key is None and request_id is None:
        raise click.UsageError("say which: --job JOB_ID, or --request ID")
    with open_service(read_settings()) as service, snapshot(service.engine) as conn:
        calls = calls_of(conn, job_key=job_key, request_id=request_id, limit=limit)
    if as_json:
        print_json(calls)
    elif calls:
        headings = ("attempt", "started", "project", "job", "offer", "state", "cost", "request")
        rows = [money_row(one, POSTED_COLUMNS) for one in calls]
        print_tables([table("Calls", headings, rows)])
    else:
        click.echo("there is no such call")


@command.command("correct")
@click.argument("attempt_id", type=click.UUID, required=False)
@click.option("--cost", metavar="USD", help="What the call should have cost; 0 for nothing.")
@click.option(
    "--csv", "lines", type=click.File("r", encoding="utf-8-sig"), metavar="FILE",
    help="Many at once, with the columns attempt_id (or request_id) and cost_usd; - reads standard"
    " input.",
)  # fmt: skip
@click.option("--why", required=True, help="What from: a credit note, an invoice.")
@click.option("--by", default=present_user, help="Who knew; the present user if not given.")
def correct_(
    *, attempt_id: UUID | None, cost: str | None, lines: TextIO | None, why: str, by: str
) -> None:
    """Say what a posted call, ATTEMPT_ID, really cost.

    Nothing is changed in the ledger: what was too much is taken back by another entry, and
    what was too little is added by one.  A correction belongs to the day of its call, whose
    budgets have what is given back.  The audit trail says who knew, and what from.

    \b
    apportion attempts correct 4cb1... --cost 0 --why "credit note 77"
    apportion attempts correct --csv corrections.csv --why "invoice of November"
    """
    if not why.strip():
        raise click.UsageError("--why is empty; say what the correction comes from")
    if lines is not None and attempt_id is None and cost is None:
        said = read_corrections(lines)
    elif lines is None and attempt_id is not None and cost is not None:
        said = [Correction(attempt_id=attempt_id, cost_nusd=nusd_from_usd(cost))]
    else:
        raise click.UsageError("give an attempt and its --cost, or a file with --csv")
    with open_service(read_settings()) as service, service.engine.begin() as conn:
        corrections = said if isinstance(said, list) else corrections_of(conn, said)
        changed = correct(conn, corrections, by=by, why=why)
    alike = len(corrections) - changed
    click.echo(f"{changed} corrected" + (f", {alike} had that cost already" if alike else ""))
