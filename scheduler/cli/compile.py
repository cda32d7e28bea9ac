"""`apportion compile`: compiles what intake and planning run, before anybody waits for it."""

import threading
import time

import click
import structlog

LOG = structlog.get_logger("apportion.compile")


@click.command()
def command() -> None:
    """Compile what intake and planning run, so that the first window does not wait for it.

    Compiled code is kept beside the program, or where NUMBA_CACHE_DIR says, for processors like
    this one; a new version of the program compiles anew.  `apportion serve` does the same as it
    starts.  It needs no database.
    """
    from scheduler.estimate.features import as_stored, document_features
    from scheduler.planning.warming import warm_up

    started = time.perf_counter()
    as_stored(document_features(["warm up"]))
    warm_up()
    click.echo(f"compiled code is ready; that took {time.perf_counter() - started:.1f} s")


def compile_beside() -> None:
    """Compile what plans run while this process does other work; a plan waits for what it needs.

    The thread ends with the process: nobody who stops that waits for a compiler.
    """
    threading.Thread(target=_warm_up, name="compile", daemon=True).start()


def _warm_up() -> None:
    from scheduler.planning.warming import warm_up

    LOG.info("compiling what plans run, where it is not yet")
    LOG.info("ready to plan", compiled_s=round(warm_up(), 1))
