"""`apportion results`: what came of the jobs, as JSON lines."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from scheduler.cli.context import open_service
from scheduler.cli.paths import WRITTEN
from scheduler.cli.printing import json_line
from scheduler.domain.errors import Refused
from scheduler.domain.money import usd_from_nusd
from scheduler.settings import read_settings
from scheduler.store.connect import snapshot
from scheduler.store.results_read import ResultLine, Wanted, results

DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


class NoResult(Refused):
    """Jobs that were asked for by their ids have no result."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        said = ", ".join(job_ids[:5]) + (", ..." if len(job_ids) > 5 else "")
        super().__init__(
            f"no result of {said}: the id is not known, the job is not finished (see `apportion"
            " status`), or it does not match the other options"
        )
        self.job_ids = tuple(job_ids)


@click.command()
@click.argument("job_ids", nargs=-1)
@click.option("--scope", help="Only of this organisation, team or project, like acme/legal.")
@click.option(
    "--since", type=click.DateTime(DAYS), help="Only finished at or after this time (UTC)."
)
@click.option("--status", type=click.Choice(["done", "failed"]), help="Only these.")
@click.option(
    "--out",
    type=WRITTEN,
    help="Write them to this file instead, and say how many there are.",
)
def command(
    *,
    job_ids: tuple[str, ...],
    scope: str | None,
    since: datetime | None,
    status: str | None,
    out: Path | None,
) -> None:
    """Print results, one JSON object a line, in the order in which the jobs came in.

    JOB_IDS are the clients' own; without any, all jobs' results are printed.  `cost_usd` is
    all that was spent on the job, failed calls included; `quality_predicted` is what its plan
    counted on.  The fields are named as in the events on documents.results, which also have
    tokens, the number of attempts, and costs that are not known yet.  Exit status 1 says that
    one of the JOB_IDS has no result.
    """
    missing = set(job_ids)
    wanted = Wanted(
        scope=scope,
        since=since and since.replace(tzinfo=UTC),
        status=status,
        job_keys=job_ids,
    )
    with open_service(read_settings()) as service, snapshot(service.engine) as conn:
        lines = (json_line(shown(line)) for line in _noted(results(conn, wanted), missing))
        if out is None:
            _print(lines)
        else:
            with out.open("w", encoding="utf-8") as file:
                count = _write(lines, file)
            click.echo(f"{count:,} results written to {out}", err=True)
    if missing:
        raise NoResult(sorted(missing))


def shown(line: ResultLine) -> dict[str, Any]:
    """*line* as programs read it."""
    return {
        "job_id": line.job_key,
        "scope": line.scope,
        "task": line.task,
        "status": line.status,
        "output": line.output,
        "reason": line.reason,
        "provider": line.provider,
        "model": line.model,
        "offer": line.offer,
        "reduction": line.reduction,
        "cost_usd": usd_from_nusd(line.cost_nusd).normalize(),
        "quality_predicted": None if line.quality_ppm is None else line.quality_ppm / 1_000_000,
        "plan_id": line.plan_id,
        "attempt_id": line.attempt_id,
        "tags": line.tags,
        "finished_at": line.at,
    }


def _noted(lines: Iterable[ResultLine], missing: set[str]) -> Iterator[ResultLine]:
    """*lines*, with those that come struck off what is *missing*."""
    for line in lines:
        missing.discard(line.job_key)
        yield line


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _write(lines: Iterable[str], file: IO[str]) -> int:
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last count is what is returned
        file.write(line + "\n")
    return count
