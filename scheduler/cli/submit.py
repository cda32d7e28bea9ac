"""`apportion submit`: puts jobs into the queue."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from scheduler.cli.context import open_service
from scheduler.cli.intaking import reader_of
from scheduler.cli.job_options import job_fields, job_options, with_option
from scheduler.cli.terminal import harmless
from scheduler.intake.chunk import Refusal
from scheduler.intake.ingest import ScopeBook
from scheduler.intake.submission import (
    Entry,
    chunks,
    entries,
    send_messages,
    submission_reader,
    submit_messages,
    text_entry,
)
from scheduler.settings import BadSettings, Settings, read_settings

Put = Callable[[list[bytes]], tuple[Counter[str], list[Refusal]]]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@job_options
@click.option("--text", "as_text", is_flag=True, help="- is one document, not lines of JSON.")
@click.option("--job-id", help="The job's id, with --text.")
@click.option("--id-prefix", default="", help="Put before the ids that are made from file names.")
@click.option("--kafka", "to_kafka", is_flag=True, help="Send to Kafka, not into the database.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(
    paths: tuple[Path, ...],
    as_text: bool,
    job_id: str | None,
    id_prefix: str,
    to_kafka: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Put jobs into the queue.

    PATHS are text files (one document each), directories of them, or *.jsonl files with a job
    on every line; - reads such lines from standard input.  The options hold for all documents,
    and for what a line does not say itself.

    \b
    apportion submit contracts/ --task summarize --scope acme/legal/contracts
    apportion submit jobs.jsonl
    cat letter.txt | apportion submit - --text --job-id letter-7 --task classify \\
        --label complaint --label praise

    A text's job id is made from its name (contracts/2024/a.txt).  Submitting the same again
    changes nothing: the same id with the same content is the same job, and with other content
    it is refused.

    What is refused goes to standard error, with its file and line, and the exit status is 1.
    """
    settings = read_settings()
    fields = job_fields(options)
    if as_text:
        if not job_id or paths != (Path("-"),):
            raise click.UsageError("--text needs - for PATHS, and --job-id")
        content = sys.stdin.buffer.read()
        found = iter([text_entry(content, where="stdin", job_id=job_id, fields=fields)])
    else:
        found = entries(
            paths,
            fields=fields,
            stdin=sys.stdin.buffer,
            bytes_max=settings.policies.intake.file_bytes_max,
            id_prefix=id_prefix,
        )
    counts = _to_kafka(settings, found) if to_kafka else _to_database(settings, found)
    _print(counts, as_json=as_json, to_kafka=to_kafka)
    if counts["refused"]:
        sys.exit(1)


def _to_database(settings: Settings, found: Iterable[Entry]) -> Counter[str]:
    reader = submission_reader(settings.policies.intake, settings.document_roots)
    scopes = ScopeBook()
    with open_service(settings) as service:

        def put(messages: list[bytes]) -> tuple[Counter[str], list[Refusal]]:
            with service.engine.begin() as conn:
                stored = submit_messages(conn, messages, reader=reader, scopes=scopes)
            return Counter(added=stored.added, known=stored.known), stored.refused

        return _put_all(found, put)


def _to_kafka(settings: Settings, found: Iterable[Entry]) -> Counter[str]:
    if settings.kafka_bootstrap is None:
        raise BadSettings("APPORTION_KAFKA_BOOTSTRAP is not set; set it like localhost:9092")
    reader, kafka, topic = reader_of(settings), settings.kafka, settings.jobs_topic

    def put(messages: list[bytes]) -> tuple[Counter[str], list[Refusal]]:
        refused = send_messages(messages, reader=reader, kafka=kafka, topic=topic)
        return Counter(added=len(messages) - len(refused)), refused

    return _put_all(found, put)


def _put_all(found: Iterable[Entry], put: Put) -> Counter[str]:
    counts: Counter[str] = Counter(added=0, known=0, refused=0)
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) if console.is_terminal else nullcontext() as progress:
        bar = progress.add_task("jobs submitted", total=None) if progress else None
        for chunk in chunks(found):
            sent = [entry for entry in chunk if entry.message is not None]
            done, refused = put([entry.message for entry in sent if entry.message is not None])
            counts += done
            problems = [(entry.where, entry.refused) for entry in chunk if entry.refused]
            problems += [(sent[one.at].where, one.reason) for one in refused]
            counts["refused"] += len(problems)
            for where, reason in problems:
                click.echo(harmless(f"{where}: {with_option(reason)}"), err=True)
            if progress and bar is not None:
                progress.advance(bar, len(chunk))
    return counts


def _print(counts: Counter[str], *, as_json: bool, to_kafka: bool) -> None:
    if as_json:
        click.echo(json.dumps({name: counts[name] for name in ("added", "known", "refused")}))
        return
    done = "sent to Kafka" if to_kafka else "queued"
    known = f", {counts['known']:,} known already" if counts["known"] else ""
    refused = f", {counts['refused']:,} refused" if counts["refused"] else ""
    click.echo(f"{counts['added']:,} jobs {done}{known}{refused}")
