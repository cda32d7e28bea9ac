"""Child processes kept running: started, restarted with a pause, and ended together."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

LOG = structlog.get_logger()
END_S = 30.0
"""How long a child may take to end by itself before it is killed."""
SUPERVISOR = "APPORTION_SUPERVISOR"
"""Set for a child: the process that keeps it, without which it is to end."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One kept process; *pause_s* doubles with each early death, up to *pause_max_s*."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    pause_max_s: float = 30.0
    pause_s: float = 0.5
    process: "subprocess.Popen[bytes] | None" = field(default=None)
    start_at: float | None = field(default=None)

    def start(self) -> None:
        # In a group of its own: a Ctrl-C at the terminal reaches the parent alone, which then
        # ends its children in order.
        # Children log to stderr; stdout is the parent's, and Celery would say farewell there.
        self.process = subprocess.Popen(  # noqa: S603
            self.argv,
            env={**self.environ, SUPERVISOR: str(os.getpid())},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        LOG.info("started", part=self.name, pid=self.process.pid)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            LOG.warning("killed: it did not end when asked to", part=self.name)
            self.process.kill()
            self.process.wait()


def keep_running(children: Sequence[Child], *, stop: threading.Event) -> None:
    """Start *children* and restart any that dies, until *stop*; then end them all and wait."""
    for child in children:
        child.start()
    try:
        while not stop.wait(0.2):
            for child in children:
                _restart_if_dead(child)
    finally:
        end_all(children)


def end_all(children: Sequence[Child]) -> None:
    """Ask every child to end, and wait for each; one that will not is killed."""
    for child in children:
        child.end()
    for child in children:
        child.wait()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def end_with_supervisor(*, every_s: float = 1.0) -> None:
    """Have this process end, as if asked to, when the one that keeps it is gone.

    A supervisor that was killed cannot end its children; they would go on, and nobody would
    know of them.
    """
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None or os.getppid() != int(supervisor):
        return

    def watch() -> None:
        while os.getppid() == int(supervisor):
            time.sleep(every_s)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor", daemon=True).start()


def _restart_if_dead(child: Child) -> None:
    """Start *child* again once its pause is over; the others are not kept waiting."""
    assert child.process is not None
    status = child.process.poll()
    if status is None:
        return
    if child.start_at is None:
        LOG.error("died; it is started again", part=child.name, status=status, in_s=child.pause_s)
        child.start_at = time.monotonic() + child.pause_s
        child.pause_s = min(2 * child.pause_s, child.pause_max_s)
    elif time.monotonic() >= child.start_at:
        child.start_at = None
        child.start()
