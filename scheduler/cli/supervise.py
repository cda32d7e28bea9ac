"""Child processes kept running: started, restarted with a pause, and ended together."""

import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

LOG = structlog.get_logger()
END_S = 30.0
"""How long a child may take to end by itself before it is killed."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One kept process; *pause_s* doubles with each early death, up to *pause_max_s*."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    pause_max_s: float = 30.0
    pause_s: float = 0.5
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    def start(self) -> None:
        # In a group of its own: a Ctrl-C at the terminal reaches the parent alone, which then
        # ends its children in order.
        self.process = subprocess.Popen(  # noqa: S603
            self.argv, env=dict(self.environ), start_new_session=True
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
                _restart_if_dead(child, stop)
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


def _restart_if_dead(child: Child, stop: threading.Event) -> None:
    assert child.process is not None
    status = child.process.poll()
    if status is None:
        return
    LOG.error("died; it is started again", part=child.name, status=status, after_s=child.pause_s)
    stop.wait(child.pause_s)
    child.pause_s = min(2 * child.pause_s, child.pause_max_s)
    if not stop.is_set():
        child.start()
