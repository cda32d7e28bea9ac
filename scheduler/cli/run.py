"""`apportion run`: documents in, results out, within a budget, and done."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from scheduler.cli.compile import compile_beside
from scheduler.cli.context import Service, open_service
from scheduler.cli.job_options import SchemaFile
from scheduler.cli.log_setup import configure_logs
from scheduler.cli.messages import Ask, Taken, add_documents
from scheduler.cli.paths import WRITTEN
from scheduler.cli.person import present_user
from scheduler.cli.printing import open_console
from scheduler.cli.result_lines import check_out, write_results
from scheduler.cli.running import Ended, work_off
from scheduler.cli.supervise import stop_on_signals
from scheduler.cli.terminal import harmless
from scheduler.cli.watching import print_end, print_taken, watching
from scheduler.domain.errors import Refused
from scheduler.domain.job import CLIENT_TASKS, Task
from scheduler.domain.money import nusd_from_usd
from scheduler.intake.wire import NEEDS
from scheduler.settings import read_settings
from scheduler.store.budgets import ALWAYS, set_budget
from scheduler.store.scopes import Scope, ensure_scope

RUNS = "default/runs"


class NotAllDone(Refused):
    """Some documents have no result; the message says what to do."""

    def __init__(
        self, *, waiting: int, failed: int, refused: int, out: Path, stopped: bool
    ) -> None:
        said = [f"documents without a result: {waiting} wait, {failed} failed, {refused} not taken"]
        if failed:
            said.append(f"why those failed is in {out}")
        if stopped:
            said.append("stopped: the same command goes on from here, and pays for nothing twice")
        elif waiting:
            said.append(
                "what those wait for is said above: mend that (where it is money, with a larger"
                " --budget) and run the same command, which goes on from here"
            )
        super().__init__("; ".join(said))
        self.waiting = waiting
        self.failed = failed
        self.refused = refused


@click.command()
@click.argument("documents", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--task",
    type=click.Choice(list(map(str, CLIENT_TASKS))),
    required=True,
    help="What is to be done with every document.",
)
@click.option("--budget", "budget_usd", required=True, metavar="USD", help="For the whole run.")
@click.option(
    "--out",
    type=WRITTEN,
    default=Path("results.jsonl"),
    show_default=True,
    help="Where the results go, a line of JSON each.",
)
@click.option("--question", help="For answer: what is asked of every document.")
@click.option("--labels", metavar="A,B,...", help="For classify.")
@click.option(
    "--schema", type=SchemaFile(), help="For extract: a file with the answer's JSON Schema."
)
@click.option("--words", type=click.IntRange(1, 10_000), help="For summarize: about how long.")
@click.option(
    "--min-quality", type=click.FloatRange(0, 1), default=0.0, help="Of every answer, at least."
)
@click.option("--residency", metavar="REGION,...", help="Regions that documents may go to.")
@click.option("--gain", metavar="USD", help="What a good answer is worth; for `earnings`.")
@click.option("--loss", metavar="USD", help="What a bad answer costs beside its price.")
@click.option("--name", help="Of the run; from the task and --out unless set.")
@click.option(
    "--workers",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Processes that make the calls.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    *,
    documents: Sequence[Path],
    task: str,
    budget_usd: str,
    out: Path,
    question: str | None,
    labels: str | None,
    schema: dict[str, Any] | None,
    words: int | None,
    min_quality: float,
    residency: str | None,
    gain: str | None,
    loss: str | None,
    name: str | None,
    workers: int,
    quiet: bool,
) -> None:
    """Do one task on DOCUMENTS (files, or directories of text files) within a budget, and end.

    Plans all documents at once, works them off, and writes one JSON object a document to
    --out, in which `job_id` is the document's path.  With no settings at all everything it
    needs is started and stopped here; providers are on whose key is in the environment
    (`apportion offers`).

    Ctrl-C stops it.  The same command goes on where it was, and pays for nothing twice.  Exit
    status 1 says that documents are left without a result.
    """
    settings = read_settings()
    configure_logs(settings, level="ERROR")
    ask = Ask(
        task=Task(task),
        question=question,
        labels=tuple(_parts(labels)),
        json_schema=schema,
        words=words,
        min_quality=min_quality,
        residency=tuple(_parts(residency)),
        gain_usd=gain,
        loss_usd=loss,
    )
    if (needed := NEEDS.get(ask.task)) and needed not in ask.fields():
        raise click.UsageError(f"{ask.task} needs --{needed}")
    check_out(out)
    stop = stop_on_signals()
    compile_beside()
    say = open_console(quiet=quiet)
    with open_service(settings, pool_size=8) as service:
        project = _project(service, name or _name(ask, out), nusd_from_usd(budget_usd))
        taken = add_documents(service, settings, project, documents, ask)
        print_taken(say, taken)
        with watching(say, service) as watcher:
            ended = work_off(
                service,
                settings,
                project_id=project.id,
                workers=workers,
                watcher=watcher,
                stop=stop,
            )
        count = write_results(service, project.path, out, taken.names)
        print_end(say, service, project, ended)
    are = "result is" if count == 1 else "results are"
    say.print(harmless(f"\n{count} {are} in {out}.", keep="\n"), markup=False)
    _check_all_done(ended, taken, out, is_stopped=stop.is_set())


def _check_all_done(ended: Ended, taken: Taken, out: Path, *, is_stopped: bool) -> None:
    now = ended.standing
    if now.done < now.jobs or taken.problems:
        raise NotAllDone(
            waiting=now.queued + now.planned,
            failed=now.failed,
            refused=len(taken.problems),
            out=out,
            stopped=is_stopped,
        )


def _project(service: Service, name: str, budget_nusd: int) -> Scope:
    with service.engine.begin() as conn:
        project = ensure_scope(conn, f"{RUNS}/{name}")
        always_budget(conn, project, limit_nusd=budget_nusd)
    return project


def always_budget(conn: Connection, scope: Scope, *, limit_nusd: int) -> None:
    """Give *scope* a budget that lasts as long as whatever it is for."""
    starts_on, ends_on = ALWAYS
    set_budget(
        conn,
        scope_id=scope.id,
        starts_on=starts_on,
        ends_on=ends_on,
        limit_nusd=limit_nusd,
        by=present_user(),
    )


def _name(ask: Ask, out: Path) -> str:
    """The same for the same command, so that it goes on where it was broken off."""
    asked = json.dumps([ask.fields(), str(out.resolve())], sort_keys=True)
    return f"{ask.task}-{sha256(asked.encode()).hexdigest()[:10]}"


def _parts(listed: str | None) -> list[str]:
    return [part.strip() for part in (listed or "").split(",") if part.strip()]
