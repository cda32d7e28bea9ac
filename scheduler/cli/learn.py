"""`apportion learn`: learns quality, tokens and latency from what became of the work."""

import click

from scheduler.cli.context import open_service
from scheduler.cli.printing import print_json, print_tables, table
from scheduler.planning.learning import learn
from scheduler.settings import read_settings

COLUMNS = ("estimator", "observations", "in use now", "why")


@click.command()
@click.option("--force", is_flag=True, help="Use what was learned, even if it is not better.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, force: bool, as_json: bool) -> None:
    """Learn from feedback and from what providers reported, and use what is better.

    Quality is learned from feedback (`documents.feedback`: use, edit, ignore or a score; a judge's
    score counts for less, and is set right by people's where both have scored), tokens
    and latency from the calls that were made.  A quarter of the new documents is held back; what
    was learned from the rest is put in use only if it predicts them better than what is in use.
    Every version is kept, so that an old plan can be explained.  Run it daily.
    """
    settings = read_settings()
    with open_service(settings) as service, service.engine.begin() as conn:
        policies = settings.policies
        lessons = learn(conn, policy=policies.plan, judge=policies.judge, force=force)
    if as_json:
        print_json({"lessons": lessons})
        return
    rows = [
        (one.kind, one.observations, "a new one" if one.is_new else "as before", one.reason)
        for one in lessons
    ]
    print_tables([table("What was learned", COLUMNS, rows)])
