"""The fixtures of all rooms: databases, topics and processes, all of them real."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from tests.rig import kafka as kafka_rig
from tests.rig import postgres as postgres_rig
from tests.rig.process import ProcessHandle

# Nothing here is timed: beside another test, any example may take its time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """`timeout` and init systems end a session by SIGTERM; its servers must not outlive it."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))


@pytest.fixture(autouse=True)
def no_server_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """An embedded Postgres stays when the command that used it is killed."""
    uses_files = "tmp_path" in request.fixturenames
    directory = request.getfixturevalue("tmp_path") if uses_files else None
    yield
    if directory is not None:
        postgres_rig.end_servers(directory)


# A migrated database is five hundred files: copied in memory, it is there ten times as soon.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30


@pytest.fixture(scope="session")
def session_home() -> Iterator[Path]:
    """A directory for this session's servers, in memory where there is enough of it.

    Not pytest's: that one may be entered by its owner alone, and root's Postgres is not root's.
    """
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    home = Path(tempfile.mkdtemp(prefix="apportion-tests-", dir=MEMORY if in_memory else None))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(session_home: Path) -> Iterator[postgres_rig.Server]:
    """The server that all tests share."""
    with postgres_rig.server(session_home / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: postgres_rig.Server) -> Iterator[str]:
    """The name of a migrated database, from which each test's own is copied."""
    with postgres_rig.template(postgres) as name:
        yield name


@pytest.fixture
def database_url(postgres: postgres_rig.Server, template: str) -> Iterator[str]:
    """A migrated database of this test's own (postgresql+psycopg://)."""
    with postgres_rig.database(postgres, like=template) as name:
        yield postgres.database(name)


@pytest.fixture
def empty_database_url(postgres: postgres_rig.Server) -> Iterator[str]:
    """A database of this test's own that no migration has touched."""
    with postgres_rig.database(postgres) as name:
        yield postgres.database(name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on this test's own migrated database, as the server's superuser."""
    engine = create_engine(database_url, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back."""
    with engine.connect() as conn:
        yield conn
        conn.rollback()


@pytest.fixture(scope="session")
def kafka(session_home: Path) -> Iterator[kafka_rig.Topics]:
    """The broker that all tests share; it is not to be harmed."""
    given = os.environ.get("APPORTION_TEST_KAFKA")
    if given:
        yield kafka_rig.Topics(bootstrap=given)
        return
    with kafka_rig.broker(session_home / "kafka") as broker:
        yield broker.topics


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[kafka_rig.Broker]:
    """A broker of this test's own, to be killed and started again."""
    with kafka_rig.broker(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ProcessHandle]]:
    """`start("serve", env={...})`: an `apportion` command as a process of its own.

    All that it started is ended with the test, and what it printed is shown if the test fails.
    """
    started: list[ProcessHandle] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> ProcessHandle:
        log = tmp_path / f"{len(started)}-{arguments[0]}.log"
        started.append(ProcessHandle.apportion(*arguments, log=log, env=env))
        return started[-1]

    yield start
    for process in reversed(started):
        process.end()
    for process in started:
        sys.stdout.write(f"--- {' '.join(process.argv)}\n{process.output}\n")
