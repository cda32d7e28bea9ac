"""`apportion attempts`: calls whose outcome is not known, and what they turned out to cost."""

from uuid import UUID

import click

from scheduler.cli.context import open_service
from scheduler.cli.person import present_user
from scheduler.cli.printing import money_row, print_json, print_tables, table
from scheduler.domain.money import nusd_from_usd, usd_text
from scheduler.settings import read_settings
from scheduler.store.connect import snapshot
from scheduler.store.resolution import Resolution, list_unknown, resolve

COLUMNS = ("id", "started_at", "job", "offer", "reserved_nusd", "request_id", "error")


@click.group()
def command() -> None:
    """List calls of unknown outcome, and resolve them.

    A worker that died, or an answer without its usage, leaves a call of which nobody knows
    whether, or at what price, it was billed.  Its money stays set aside until somebody who has
    seen the provider's bill says what it cost.
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
