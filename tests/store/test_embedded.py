"""The embedded Postgres: shared, private, and sound after any kill."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.store import embedded
from tests.rig.postgres import end_servers, libpq, postmaster
from tests.rig.process import ProcessHandle
from tests.rig.waiting import eventually

HOLD = """
import pathlib, signal, sys
from scheduler.store import embedded
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
held = embedded.start(pathlib.Path(sys.argv[1]))
print("held", flush=True)
signal.sigwait([signal.SIGTERM])
held.stop()
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A state directory whose server was once started and stopped."""
    directory = Path(tempfile.mkdtemp(prefix="apportion-embedded-"))
    embedded.start(directory / "state").stop()
    yield directory / "state"
    shutil.rmtree(directory)


@pytest.fixture
def empty_home() -> Iterator[Path]:
    """A state directory yet to be made, outside pytest's, which root's server could not enter."""
    directory = Path(tempfile.mkdtemp(prefix="apportion-embedded-"))
    yield directory / "state"
    end_servers(directory)
    # The server that is being ended still removes files of its own.
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def home(empty_home: Path, made: Path) -> Path:
    """A state directory with data in it, and no server running."""
    subprocess.run(["cp", "-a", made, empty_home], check=True)
    return empty_home


def server_pid(home: Path) -> int | None:
    """The postmaster's number, if it is alive."""
    server = postmaster(home / "postgres")
    return server.pid if server is not None else None


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(libpq(make_url(url)), autocommit=True)


def hold(home: Path, log: Path) -> ProcessHandle:
    """Another process that has started or joined the server."""
    process = ProcessHandle([sys.executable, "-c", HOLD, str(home)], log=log)
    process.wait_for_line("^held")
    return process


def test_what_was_committed_is_there_after_a_restart(empty_home: Path) -> None:
    with embedded.start(empty_home) as first, connect(first.url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")

    with embedded.start(empty_home) as second, connect(second.url) as conn:
        assert conn.execute("SELECT n FROM kept").fetchone() == (7,)


def test_the_last_to_let_go_stops_the_server_and_no_other(home: Path) -> None:
    first = embedded.start(home)
    second = embedded.start(home)
    assert first.url == second.url

    first.stop()
    assert server_pid(home) is not None

    second.stop()
    assert server_pid(home) is None


def test_letting_go_twice_takes_nothing_from_another(home: Path) -> None:
    first = embedded.start(home)
    with embedded.start(home):
        first.stop()
        first.stop()
        assert server_pid(home) is not None


def test_a_server_is_not_stopped_under_another_process(home: Path, tmp_path: Path) -> None:
    other = hold(home, tmp_path / "log")
    try:
        embedded.start(home).stop()
        assert server_pid(home) is not None

        other.terminate()
        assert other.wait() == 0
        assert server_pid(home) is None
    finally:
        other.end()


def test_two_processes_that_start_at_once_share_one_server(
    empty_home: Path, tmp_path: Path
) -> None:
    both = [
        ProcessHandle([sys.executable, "-c", HOLD, str(empty_home)], log=tmp_path / str(n))
        for n in range(2)
    ]
    try:
        for process in both:
            process.wait_for_line("^held")
        servers = [
            p
            for p in psutil.process_iter(["cmdline"])
            if str(empty_home / "postgres") in (p.info["cmdline"] or []) and p.name() == "postgres"
        ]
        assert len(servers) == 1
    finally:
        for process in both:
            process.end()


def test_a_server_left_by_a_killed_process_is_adopted_and_stopped(
    home: Path, tmp_path: Path
) -> None:
    hold(home, tmp_path / "log").kill()
    left = server_pid(home)
    assert left is not None

    adopted = embedded.start(home)
    assert server_pid(home) == left

    adopted.stop()
    assert server_pid(home) is None


def test_a_killed_server_is_started_again_with_all_that_was_committed(home: Path) -> None:
    first = embedded.start(home)
    with connect(first.url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT generate_series(1, 10000) AS n")
        pid = server_pid(home)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: server_pid(home) is None, what="the server to die")

    with embedded.start(home) as second, connect(second.url) as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (10_000,)
    first.stop()


def test_a_stranger_with_the_dead_servers_number_is_not_taken_for_it(home: Path) -> None:
    embedded.start(home).stop()
    data = home / "postgres"
    left = [str(os.getpid()), str(data), "0", "5432", str(data), "", "0 0", "ready"]
    (data / "postmaster.pid").write_text("\n".join(left) + "\n")
    (data / ".s.PGSQL.5432.lock").write_text("\n".join(left) + "\n")

    with embedded.start(home) as server, connect(server.url) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_start_that_was_killed_halfway_is_begun_again(empty_home: Path) -> None:
    half_made = empty_home / "postgres.making-killed"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")

    with embedded.start(empty_home):
        assert not half_made.exists()


@pytest.mark.parametrize("version", ["16", None])
def test_the_data_of_another_version_are_refused_and_left_alone(
    empty_home: Path, version: str | None
) -> None:
    data = empty_home / "postgres"
    data.mkdir(parents=True)
    (data / "precious").touch()
    if version:
        (data / "PG_VERSION").write_text(f"{version}\n")

    with pytest.raises(embedded.OtherPostgresData, match=r"set APPORTION_HOME to another"):
        embedded.start(empty_home)

    assert (data / "precious").exists()


def test_a_start_that_is_broken_off_leaves_no_server(empty_home: Path) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        embedded.start(empty_home, settings={"default_transaction_read_only": "on"})

    assert server_pid(empty_home) is None


def test_a_server_that_does_not_come_up_says_why(home: Path) -> None:
    embedded.start(home).stop()

    with pytest.raises(embedded.PostgresNotStarted, match=r'invalid value .* "shared_buffers"'):
        embedded.start(home, settings={"shared_buffers": "plenty"})


def test_nobody_else_on_the_machine_can_connect(empty_home: Path) -> None:
    with embedded.start(empty_home) as server, connect(server.url) as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
        sockets = Path(str(make_url(server.url).query["host"]))

    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700


def test_a_home_too_deep_for_a_socket_has_it_elsewhere(empty_home: Path) -> None:
    deep = empty_home.joinpath(*["a-directory-with-a-long-name"] * 5)

    with embedded.start(deep) as server, connect(server.url):
        sockets = Path(str(make_url(server.url).query["host"]))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700

    assert not sockets.exists()


def test_a_home_may_have_any_name(empty_home: Path) -> None:
    with embedded.start(empty_home / "Ann's data, and more") as server, connect(server.url) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_the_settings_of_a_person_for_another_postgres_do_not_count(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PGPORT", str(elsewhere.getsockname()[1]))
        monkeypatch.setenv("PGHOST", "127.0.0.1")
        with embedded.start(home) as server, connect(server.url) as conn:
            assert conn.execute("SHOW port").fetchone() == ("5432",)
