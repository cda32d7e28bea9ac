"""The service as a command finds it: its database, reached and of the right schema."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg
import structlog
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from scheduler.domain.errors import Unavailable
from scheduler.estimate.embedding import Embedder
from scheduler.settings import BadSettings, Settings
from scheduler.store import embedded
from scheduler.store.connect import APP_ROLE, open_engine
from scheduler.store.migrate import SchemaBehind, check, ensure_partitions, newest, upgrade

LOG = structlog.get_logger("apportion.start")
DRIVER = "postgresql+psycopg"
AWAY_FIRST_S, AWAY_MOST_S = 0.5, 30.0
FOR_A_PERSON = ("password", "does not exist", "not permitted", "pg_hba.conf")
"""What the reasons speak of for which a server that is there turns us away, and always will."""

NO_NEWS = ("Is the server", "HINT:", "CONTEXT:")
"""How lines of Postgres's errors begin that say nothing about the cause."""


class DatabaseAway(Unavailable):
    """The database cannot be reached; the message names its host, and never a password."""

    def __init__(self, *, where: str, reason: str) -> None:
        super().__init__(f"cannot reach the database at {where}: {reason}; {_advice(reason)}")
        self.where = where
        self.reason = reason

    @property
    def passes(self) -> bool:
        """Whether it may be there later, and nobody has to mend anything here."""
        return not any(word in self.reason for word in FOR_A_PERSON)


class DiskFull(Unavailable):
    """The database can store nothing more."""

    def __init__(self, *, where: str, reason: str) -> None:
        super().__init__(
            f"the disk of the database at {where} is full: {reason}; make room there, and run the"
            " same command again"
        )
        self.where = where
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What every command works with.

    Attributes:
        engine: sessions act as `apportion_app`.
        database_url: postgresql+psycopg://, password and all.
        broker_url: Celery's; the same database where nothing else is set.
        embedded: the database is this machine's own, kept under `APPORTION_HOME`.
    """

    engine: Engine
    database_url: str
    broker_url: str
    embedded: bool


@contextmanager
def open_service(settings: Settings, *, pool_size: int = 4) -> Iterator[Service]:
    """The service that *settings* name, for as long as the block runs.

    With no `APPORTION_DATABASE_URL` the embedded Postgres is started, or joined where another
    command runs it, and migrated; a database that was given is only checked.

    Raises:
        BadSettings: the URL is none of Postgres.
        DatabaseAway, PostgresNotStarted: nothing answers there.
        SchemaBehind: the database is not of this program's schema; migrate it first.
    """
    with ExitStack() as stack:
        if settings.database_url is not None:
            url = postgres_url(settings.database_url.get_secret_value())
        else:
            url = postgres_url(stack.enter_context(embedded.start(settings.home)).url)
        engine = open_engine(url_text(url), pool_size=pool_size)
        stack.callback(engine.dispose)
        service = Service(
            engine=engine,
            database_url=url_text(url),
            broker_url=broker_url(settings, url),
            embedded=settings.database_url is None,
        )
        try:
            if service.embedded:
                _bring_up(engine, url)
            else:
                _check(engine, url)
            with engine.begin() as conn:
                ensure_partitions(conn)
            yield service
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.DiskFull):
                raise DiskFull(where=where(url), reason=failure(error)) from None
            # Without a statement, it was to connect that failed.
            if not error.connection_invalidated and error.statement is not None:
                raise
            raise DatabaseAway(where=where(url), reason=failure(error)) from None


@contextmanager
def open_when_there(
    settings: Settings, *, stop: threading.Event, pool_size: int = 4
) -> Iterator[Service | None]:
    """As `open_service`, but that a database that is away is waited for, aloud.

    For processes that serve: those that run wait for it, and so do those that start meanwhile.
    None if *stop* is set before it is there.  One of our own is started, and not waited for.

    Raises:
        BadSettings, DatabaseAway, SchemaBehind: as there, where waiting does not help.
    """
    with ExitStack() as stack:
        service, wait_s = None, AWAY_FIRST_S
        while service is None and not stop.is_set():
            try:
                service = stack.enter_context(open_service(settings, pool_size=pool_size))
            except DatabaseAway as away:
                if settings.database_url is None or not away.passes:
                    raise
                LOG.warning("waits for Postgres", reason=str(away), wait_s=wait_s)
                stop.wait(wait_s)
                wait_s = min(2 * wait_s, AWAY_MOST_S)
        yield service


def embedder_of(settings: Settings) -> Embedder | None:
    """The embedding model of `APPORTION_EMBEDDING`, loaded; None where none is set.

    Raises:
        NoEmbedding: it cannot be used.
    """
    return None if settings.embedding is None else Embedder.load(settings.embedding)


def postgres_url(given: str) -> URL:
    """*given* (postgresql:// or postgresql+psycopg://) with the driver that is used here.

    Raises:
        BadSettings: it is no URL, or another database's; its text is not repeated.
    """
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        # The latter where the port is no number.
        raise BadSettings("APPORTION_DATABASE_URL is not a URL") from None
    if url.drivername not in ("postgres", "postgresql", DRIVER):
        raise BadSettings(
            f"APPORTION_DATABASE_URL begins with {url.drivername}://; write postgresql://"
        )
    return url.set(drivername=DRIVER)


def url_text(url: URL) -> str:
    """*url* with its password, as a driver needs it; not for people."""
    return url.render_as_string(hide_password=False)


def broker_url(settings: Settings, url: URL) -> str:
    """Celery's broker: the one that is set, or the database at *url*."""
    if settings.broker_url is not None:
        return settings.broker_url.get_secret_value()
    return f"sqla+{url_text(url)}"


def where(url: URL) -> str:
    """Host, port and database of *url*, for a message."""
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"{host}{port}/{url.database or ''}"


def failure(error: DBAPIError) -> str:
    """What Postgres or its driver said, on one line."""
    said = str(error.orig)
    # What was tried stands before it, once for every address of the host.
    _, refused, why = said.partition("FATAL:")
    lines = (line.strip() for line in (why if refused else said).splitlines())
    return "; ".join(line for line in lines if line and not line.startswith(NO_NEWS))


def _advice(reason: str) -> str:
    if "password" in reason:
        return "mend the user and the password in APPORTION_DATABASE_URL"
    if reason.startswith('database "') and "does not exist" in reason:
        return "create it (as by `createdb`), or mend APPORTION_DATABASE_URL"
    return (
        "start it, or mend APPORTION_DATABASE_URL (unset, the command keeps a database of its own)"
    )


def _bring_up(engine: Engine, url: URL) -> None:
    try:
        _check(engine, url)
    except SchemaBehind:
        upgrade(url_text(url))
        engine.dispose()


def _check(engine: Engine, url: URL) -> None:
    try:
        with engine.connect() as conn:
            check(conn)
    except OperationalError as error:
        reason = failure(error)
        # A server that was never migrated has no such role to act as.
        if f'role "{APP_ROLE}" does not exist' in reason or f'"role": "{APP_ROLE}"' in reason:
            raise SchemaBehind(found=None, wanted=newest()) from None
        raise DatabaseAway(where=where(url), reason=reason) from None
