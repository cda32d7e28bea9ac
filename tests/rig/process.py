"""A program of ours as a process of its own, to be watched, killed and started again."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from tests.rig.waiting import PATIENCE_S, eventually

T = TypeVar("T")
REPO = Path(__file__).parents[2]


class ProcessHandle:
    """A running process, the leader of a process group, whose output goes to a file.

    Attributes:
        argv: what was started.
        log: the file that has its stdout and stderr.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.argv = tuple(argv)
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=REPO,
                env=clean_environment() | {"PYTHONUNBUFFERED": "1"} | dict(env or {}),
                start_new_session=True,
            )

    @classmethod
    def python(
        cls, module: str, *arguments: str, log: Path, env: Mapping[str, str] | None = None
    ) -> Self:
        """`python -m module arguments`."""
        return cls([sys.executable, "-m", module, *arguments], log=log, env=env)

    @classmethod
    def apportion(cls, *arguments: str, log: Path, env: Mapping[str, str] | None = None) -> Self:
        """The `apportion` command that is installed beside this Python."""
        return cls([str(Path(sys.executable).with_name("apportion")), *arguments], log=log, env=env)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    @property
    def status(self) -> int | None:
        """Its exit status (negative: the signal that ended it); None while it runs."""
        return self._popen.poll()

    def wait_for(
        self, look: Callable[[], T], *, within_s: float = PATIENCE_S, what: str = "a condition"
    ) -> T:
        """The first true value of *look*; fails when the process ends or time runs out first."""

        def look_or_give_up() -> tuple[T] | None:
            ended = self.status is not None  # asked first: its last act counts
            seen = look()
            assert seen or not ended, f"it ended with status {self.status} before {what}"
            return (seen,) if seen else None

        try:
            found = eventually(look_or_give_up, within_s=within_s, what=what)
        except AssertionError as failure:
            raise AssertionError(f"{self.argv}: {failure}\n{self._tail()}") from None
        assert found is not None
        return found[0]

    def wait_for_line(self, pattern: str, *, within_s: float = PATIENCE_S) -> re.Match[str]:
        """The first match of *pattern* (one line's text) in the output's lines that have ended."""
        line = re.compile(pattern, re.MULTILINE)

        def look() -> re.Match[str] | None:
            said = self.output
            return line.search(said, 0, said.rfind("\n") + 1)

        found = self.wait_for(look, within_s=within_s, what=f"output like {pattern!r}")
        assert found is not None
        return found

    def wait(self, *, within_s: float = PATIENCE_S) -> int:
        """Its exit status, once it has ended."""
        try:
            return self._popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.argv} still runs after {within_s:g} s\n{self._tail()}"
            ) from None

    def kill(self) -> None:
        """kill -9 this process; what it started goes on."""
        self._popen.kill()
        self._popen.wait()

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to the process and all it started."""
        self._signal_group(signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM to this process, as an init system sends it."""
        self._popen.terminate()

    def end(self) -> None:
        """kill -9 the process and all that it started in its group."""
        self._signal_group(signal.SIGKILL)
        self._popen.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._popen.pid, number)
        except ProcessLookupError:
            return

    def _tail(self, *, lines: int = 40) -> str:
        return "\n".join(self.output.splitlines()[-lines:])


def clean_environment() -> dict[str, str]:
    """This process's environment without settings and keys of the person who runs the tests."""
    ours = re.compile(r"APPORTION_|PG[A-Z]+$|.*_API_KEY$")
    return {name: value for name, value in os.environ.items() if not ours.match(name)}
