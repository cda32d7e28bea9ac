"""`apportion schema`: the messages' JSON Schemas, and the topics as AsyncAPI."""

import json
from pathlib import Path

import click

from scheduler.intake.schemas import documents


@click.command()
@click.argument("name", required=False)
@click.option(
    "--write", "directory", type=click.Path(path_type=Path, file_okay=False), help="Write all here."
)
def command(name: str | None, directory: Path | None) -> None:
    """Print the schema called NAME, or the names of all.

    \b
    job          what is sent to documents.jobs
    feedback     what is sent to documents.feedback
    result       what comes on documents.results
    dead_letter  what comes on documents.dead
    asyncapi     all of it, with the topics, as AsyncAPI 3
    """
    known = {Path(file).name.partition(".")[0]: file for file in documents()}
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        for file, document in documents().items():
            (directory / file).write_text(document)
            click.echo(directory / file)
    elif name is None:
        click.echo("\n".join(known))
    elif name not in known:
        raise click.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="NAME")
    else:
        click.echo(json.dumps(json.loads(documents()[known[name]]), indent=2))
