"""The Postgres of the tests: a server, a migrated template, and a fresh database for each test."""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import URL, make_url

from scheduler.store import embedded
from scheduler.store.migrate import upgrade
from tests.rig.waiting import eventually

# A test's database is thrown away: nothing in it has to survive the machine.
SETTINGS = {
    **embedded.SETTINGS,
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server whose role may create databases.

    Attributes:
        url: of a database on it that is never changed (postgresql+psycopg://).
    """

    url: URL

    def database(self, name: str) -> str:
        return self.url.set(database=name).render_as_string(hide_password=False)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(libpq(self.url), autocommit=True)


@contextmanager
def server(home: Path) -> Iterator[Server]:
    """The person's own server (`APPORTION_TEST_DATABASE_URL`), or one of ours under *home*."""
    given = os.environ.get("APPORTION_TEST_DATABASE_URL")
    if given:
        yield Server(url=make_url(given).set(drivername="postgresql+psycopg"))
        return
    with embedded.start(home, settings=SETTINGS) as ours:
        yield Server(url=make_url(ours.url))


@contextmanager
def closed(on: Server, url: str) -> Iterator[None]:
    """The database at *url* lets nobody in, and has thrown everybody out, until the block ends."""
    name = make_url(url).database or ""
    allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with on.connect() as conn:
        conn.execute(allow.format(Identifier(name), False))
        conn.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
        try:
            yield
        finally:
            conn.execute(allow.format(Identifier(name), True))


@contextmanager
def template(on: Server) -> Iterator[str]:
    """A database with the newest schema, to make others from."""
    with database(on, named="template") as name:
        upgrade(on.database(name))
        yield name


@contextmanager
def database(on: Server, *, like: str = "template1", named: str = "test") -> Iterator[str]:
    """A database of its own for the time of one test; the name of it."""
    name = f"apportion_{named}_{uuid.uuid4().hex[:12]}"
    with on.connect() as conn:
        conn.execute(
            # Locks that a test waits for are a mistake, and fail instead of hanging.
            SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                Identifier(name), Identifier(like)
            )
        )
        conn.execute(
            SQL("ALTER DATABASE {} SET lock_timeout = {}").format(Identifier(name), Literal("2s"))
        )
    try:
        yield name
    finally:
        with on.connect() as conn:
            conn.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def postmaster(data: Path) -> psutil.Process | None:
    """The server that runs on *data*; None if there is none, or it is only starting or ending."""
    try:
        server = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        alive = server.name() == "postgres" and server.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return None
    return server if alive else None


def kill(home: Path) -> None:
    """kill -9 of the whole server: its children, too, which otherwise end their work first."""
    server = postmaster(home / "postgres")
    assert server is not None
    for process in [server, *server.children()]:
        process.kill()


def start_again(home: Path) -> embedded.EmbeddedPostgres:
    """The server that was killed, with the same data at the same place."""

    def started() -> embedded.EmbeddedPostgres | None:
        try:
            return embedded.start(home)
        except embedded.PostgresNotStarted:
            return None  # the dead one's memory is not yet free

    server = eventually(started, what="Postgres to come back", every_s=0.2)
    assert server is not None
    return server


def end_servers(under: Path) -> None:
    """End every embedded server that has its data below *under*.

    Those are left by commands that a test killed; at once, but not by kill -9, which would leave
    their shared memory behind.
    """
    for pid_file in under.rglob("postmaster.pid"):
        if (server := postmaster(pid_file.parent)) is not None:
            server.send_signal(signal.SIGQUIT)


def libpq(url: URL) -> str:
    """*url* as libpq's connection string, for psycopg alone."""
    query = {key: str(value) for key, value in url.query.items()}
    own = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    said = {key: str(value) for key, value in own.items() if value is not None}
    return make_conninfo(**query | said, dbname=url.database or "")
