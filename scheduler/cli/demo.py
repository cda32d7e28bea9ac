"""`apportion demo`: the main job, end to end, on real documents and a made-up provider."""

import json
import os
import subprocess
import threading
import urllib.request
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from sqlalchemy import Connection

from scheduler.cli.compile import compile_beside
from scheduler.cli.context import Service, open_service
from scheduler.cli.log_setup import configure_logs
from scheduler.cli.messages import Ask, add_documents
from scheduler.cli.offers import print_prices
from scheduler.cli.parts import listings_of
from scheduler.cli.paths import WRITTEN
from scheduler.cli.printing import open_console
from scheduler.cli.result_lines import check_out, write_results
from scheduler.cli.run import always_budget
from scheduler.cli.running import Ended, work_off
from scheduler.cli.supervise import SUPERVISOR, stop_on_signals
from scheduler.cli.watching import print_end, watching
from scheduler.compliance.verification import verify
from scheduler.domain.errors import Refused
from scheduler.domain.job import Task
from scheduler.domain.money import nusd_from_usd, usd_text
from scheduler.settings import read_settings
from scheduler.store.connect import snapshot
from scheduler.store.project_standing import standing
from scheduler.store.reports import billed
from scheduler.store.scopes import Scope, ensure_scope, list_scopes
from workers.sandbox.process import SandboxProcess, sandbox_process

DOCUMENTS = Path("examples/documents")
SCOPE = "default/demo"
LATENCY_S = "0.15"
# The southern sandbox answers a few calls, and then fails for good.
FAULTS = {
    "rules": [
        {"model": "sandbox-large-south", "fault": "500", "skip": 6},
        {"model": "sandbox-medium-south", "fault": "500", "skip": 9},
        {"model": "sandbox-large", "fault": "429", "skip": 3, "count": 2, "wait_s": 0.3},
    ]
}
POLICY = {"work": {"tries_max": 2, "tries_s": 10, "breaker_failures": 4, "breaker_rest_s": 60}}


class NoDocuments(Refused):
    """The demo's documents are not where it looks for them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"there are no .txt files in {directory}; the demo's documents come with a clone of "
            "the project, and not with its package: run it in one, or give a directory of your "
            "own with --documents"
        )
        self.directory = directory


@click.command()
@click.option(
    "--budget",
    "budget_usd",
    default="0.40",
    show_default=True,
    metavar="USD",
    help="For the whole demonstration.",
)
@click.option(
    "--documents",
    type=click.Path(file_okay=False, path_type=Path),
    default=DOCUMENTS,
    show_default=True,
    help="Summarize the documents in this directory instead.",
)
@click.option(
    "--out",
    type=WRITTEN,
    help="Where the results go; demo/results.jsonl under APPORTION_HOME unless set.",
)
def command(*, budget_usd: str, documents: Path, out: Path | None) -> None:
    """Summarize real documents under a budget that cannot pay for the best model everywhere.

    Nothing leaves this machine and nobody is paid: the models are a sandbox's, which speaks
    the real protocol, asks real prices of play money, and fails half-way on purpose.  All
    else is the real service, with a Postgres of its own.  Ctrl-C stops it; the same command
    goes on from there, and pays for nothing twice.
    """
    texts = sorted(documents.glob("*.txt"))
    if not texts:
        raise NoDocuments(documents)
    home = read_settings().home / "demo"
    _configure(home)
    results = out or home / "results.jsonl"
    check_out(results)
    stop = stop_on_signals()
    say = open_console()
    say.print(f"[bold]Apportion demo.[/] {len(texts)} real documents, {budget_usd} USD.")
    faults = ("--latency", LATENCY_S, "--faults", json.dumps(FAULTS))
    with sandbox_process(
        bill=home / "bill.jsonl",
        options=faults,
        stderr=subprocess.DEVNULL,
        environ={SUPERVISOR: str(os.getpid())},  # it ends with this process, however that ends
    ) as sandbox:
        os.environ["APPORTION_SANDBOX_URL"] = sandbox.url
        settings = read_settings()
        configure_logs(settings, level="ERROR")
        compile_beside()
        print_prices(listings_of(settings), task=Task.SUMMARIZE)
        with open_service(settings, pool_size=8) as service:
            project = _project(service, nusd_from_usd(budget_usd))
            ask = Ask(task=Task.SUMMARIZE, words=90)
            add_documents(service, settings, project, texts, ask)
            with watching(say, service) as watcher:
                ended = work_off(
                    service, settings, project_id=project.id, workers=1, watcher=watcher, stop=stop
                )
            _end(say, service, project, ended, results, sandbox, stop)
    if not stop.is_set():
        say.print(
            "\nWith your own keys: [bold]OPENAI_API_KEY=... apportion run "
            f"{escape(str(documents))}/*.txt --task summarize --budget 5 --out results.jsonl[/]"
        )


def _configure(home: Path) -> None:
    """The environment that this process's children share with it; only the demo's own."""
    for name in [one for one in os.environ if one.startswith("APPORTION_")]:
        del os.environ[name]
    catalog = str(files("scheduler.catalog").joinpath("demo.yaml"))
    os.environ |= {
        "APPORTION_HOME": str(home),
        "APPORTION_CATALOG": catalog,
        "APPORTION_POLICY": json.dumps(POLICY),
        "APPORTION_LOG_LEVEL": "ERROR",
    }


def _project(service: Service, budget_nusd: int) -> Scope:
    """The project of the demo that was broken off, or a new one, with its budget."""
    with service.engine.begin() as conn:
        project = _latest(conn)
        always_budget(conn, project, limit_nusd=budget_nusd)
        return project


def _latest(conn: Connection) -> Scope:
    numbers = [
        int(path.rpartition("/")[2])
        for path, scope in list_scopes(conn).items()
        if path.startswith(SCOPE + "/") and scope.kind == "project"
    ]
    last = max(numbers, default=0)
    if last:
        project = ensure_scope(conn, f"{SCOPE}/{last}")
        now = standing(conn, project_id=project.id)
        if now.over < now.jobs:
            return project
    return ensure_scope(conn, f"{SCOPE}/{last + 1}")


def _end(
    say: Console,
    service: Service,
    project: Scope,
    ended: Ended,
    out: Path,
    sandbox: SandboxProcess,
    stop: threading.Event,
) -> None:
    count = write_results(service, project.path, out, {})
    print_end(say, service, project, ended)
    if stop.is_set():
        say.print("\nStopped. The same command goes on from here, and pays for nothing twice.")
        return
    _check(say, service, sandbox)
    say.print(f"\n[bold]{count} results[/] are in {escape(str(out))}; one of them:")
    with out.open(encoding="utf-8") as lines:
        best = max(map(json.loads, lines), key=_shows_well)
    say.print(f"[dim]{escape(best['job_id'])}, {best['offer']}:[/]")
    say.print(best["output"], markup=False)


def _shows_well(line: dict[str, Any]) -> tuple[bool, float]:
    return "report" in line["job_id"], line["quality_predicted"] or 0.0


def _check(say: Console, service: Service, sandbox: SandboxProcess) -> None:
    """Hold the ledger against the sandbox's bill, and the chain against itself."""
    bill_nusd = _billed(sandbox)
    with service.engine.connect() as conn:
        posted_nusd = billed(conn)
    same = "the same, to the nano-dollar" if bill_nusd == posted_nusd else "NOT the same"
    say.print(
        f"\nThe provider's own bill says {usd_text(bill_nusd)},"
        f" the ledger {usd_text(posted_nusd)}: {same}."
    )
    with snapshot(service.engine) as conn:
        audit = verify(conn)
    found = "nothing was altered" if not audit.findings else f"{len(audit.findings)} FAULTS"
    say.print(
        f"The audit trail: {audit.records} records in {audit.streams} chains, {found}"
        " (`apportion audit verify`)."
    )


def _billed(sandbox: SandboxProcess) -> int:
    with urllib.request.urlopen(f"{sandbox.admin}/bill") as answer:  # noqa: S310
        total: dict[str, Any] = json.load(answer)
    return int(total["cost_nusd"])
