"""`apportion serve`: the service's own processes, kept running."""

import os
import sys
import threading
from collections.abc import Sequence

import click

from scheduler.cli.context import open_when_there
from scheduler.cli.log_setup import configure_logs
from scheduler.cli.parts import PARTS, run_parts
from scheduler.cli.supervise import Child, keep_running, stop_on_signals
from scheduler.settings import Settings, read_settings


@click.command()
@click.option(
    "--only",
    type=click.Choice(sorted(PARTS)),
    multiple=True,
    help="Run this part alone, in this process; may be given more than once.",
)
def command(*, only: Sequence[str]) -> None:
    """Run the service until it is stopped: intake, planner, relay and rescue.

    \b
    intake    takes jobs and feedback from Kafka
    planner   plans windows as they close, and keeps the catalog's prices of the day
    relay     rings for parcels, and publishes results
    rescue    gives work back whose worker died

    Each is a process of its own, started again if it dies.  Any of them may run more than
    once, on several machines: one works, or they share, and the others stand by.  Without
    APPORTION_KAFKA_BOOTSTRAP there is no intake, and results are read with `apportion results`.
    The work itself is done by `apportion worker`; with the embedded database, one is started here.

    Stop it with Ctrl-C or SIGTERM; nothing is lost however it ends.
    """
    settings = read_settings()
    configure_logs(settings)
    stop = stop_on_signals()
    # Opened here too, so that what is wrong with the database is said once, and not by each part.
    with open_when_there(settings, stop=stop, pool_size=8) as service:
        if service is None:
            return
        if only:
            run_parts(only, service, settings, stop=stop)
        else:
            serve_all(settings, stop=stop)


def serve_all(settings: Settings, *, stop: threading.Event) -> None:
    """Keep every part running that the settings have a use for."""
    names = [name for name in PARTS if name != "intake" or settings.kafka_bootstrap is not None]
    children = [child(name, "serve", "--only", name) for name in names]
    if settings.database_url is None:
        children.append(child("worker", "worker"))
    keep_running(children, stop=stop)


def child(name: str, *arguments: str) -> Child:
    """A process of this program, called with *arguments*."""
    argv = [sys.executable, "-m", "scheduler", *arguments]
    return Child(name=name, argv=argv, environ=os.environ)
