"""A sandbox in a process of its own, for as long as a block runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from scheduler.domain.errors import Broken

STOP_S = 10.0
_COMMAND = "from scheduler.cli.main import main; main()"


class SandboxDied(Broken):
    """The sandbox ended before it was ready."""

    def __init__(self, *, status: int | None) -> None:
        super().__init__(f"the sandbox ended with status {status} before it was ready")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProcess:
    """A sandbox that serves.

    Attributes:
        url: for APPORTION_SANDBOX_URL; ends in `/v1`.
        admin: where `/bill` and `/faults` are.
        process: to be killed by a test; it is stopped at the end of the block anyway.
    """

    url: str
    admin: str
    bill: Path
    process: subprocess.Popen[str]


@contextmanager
def sandbox_process(
    *,
    bill: Path,
    options: tuple[str, ...] = (),
    port: int = 0,
    stderr: int | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[SandboxProcess]:
    """Run `apportion sandbox` with *options* on *port*, a free one by default.

    *stderr* is where its messages to people go, as `subprocess` has it; this process's own.
    *environ* is put to the environment that it has from here.

    Raises:
        SandboxDied: it ended before it was ready; it has said why on stderr.
    """
    command = [sys.executable, "-c", _COMMAND, "sandbox", "--port", str(port)]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--bill", str(bill), *options],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        # A Ctrl-C at the terminal reaches the whole group; the block decides when this one ends.
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SandboxDied(status=process.wait(STOP_S))
            url = json.loads(line)["url"]
            yield SandboxProcess(
                url=url,
                admin=f"{url.removesuffix('/v1')}/sandbox",
                bill=bill,
                process=process,
            )
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
