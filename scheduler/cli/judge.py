"""`apportion judge`: has a share of the finished jobs' answers judged, now."""

from datetime import UTC, datetime, timedelta

import click

from scheduler.cli.context import open_service
from scheduler.cli.parts import sync_offers
from scheduler.planning.judging import check_judging, queue_judgings
from scheduler.settings import read_settings


@click.command()
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="How far back finished jobs are looked at.",
)
def command(*, days: float) -> None:
    """Queue judgings for a share of the finished jobs; `apportion plan --now` plans them.

    The policy says which share (`judge.share_ppm`), of which tasks and who pays; an offer judges
    whose catalog entry has the task `judge`.  The planner of `apportion serve` does the same by
    itself; jobs that were judged, or are about to be, are not judged again.  The scores are
    feedback, from which `apportion learn` learns; a person's counts for more.
    """
    settings = read_settings()
    policy, now = settings.policies.judge, datetime.now(UTC)
    with open_service(settings) as service:
        sync_offers(service, settings)
        check_judging(service.engine, policy=policy)
        since = now - timedelta(days=days)
        added = queue_judgings(service.engine, policy=policy, since=since, now=now)
    if added is None:
        click.echo("another process is queuing judgings at this moment")
    else:
        click.echo(f"{added} answers will be judged; `apportion status` shows how they stand")
