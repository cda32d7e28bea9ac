"""`apportion feedback`: what became of results, from a file, straight into the database."""

import sys
from typing import BinaryIO

import click

from scheduler.cli.context import open_service
from scheduler.intake.feedback import FeedbackIntake
from scheduler.settings import read_settings

SOURCE = "feedback"


@click.command()
@click.argument("lines", type=click.File("rb"), metavar="FILE.jsonl")
def command(*, lines: BinaryIO) -> None:
    """Take in feedback on results: one JSON object a line; - reads standard input.

    \b
    {"job_id": "a1", "kind": "use"}
    {"job_id": "a2", "kind": "score", "score": 0.8}
    {"job_id": "a3", "kind": "reference", "reference": "complaint"}

    The same messages are taken from the topic `documents.feedback`.  A reference is the right
    answer: `apportion learn` scores the result by it.  What is refused goes to standard error
    with its line; the rest is taken in, and the exit status is 1.
    """
    settings = read_settings()
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    intake = FeedbackIntake(default_scope=settings.policies.intake.default_scope)
    said = intake.read([line for _, line in numbered], [()] * len(numbered))
    with open_service(settings) as service, service.engine.begin() as conn:
        refused = intake.store(conn, said, source=SOURCE)
    for one in sorted(refused, key=lambda one: one.at):
        click.echo(f"{lines.name}:{numbered[one.at][0]}: {one.reason}", err=True)
    click.echo(f"{len(numbered) - len(refused)} taken in, {len(refused)} refused")
    if refused:
        sys.exit(1)
