"""What a person sees when something is wrong: one line that says what to do, never a traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import psycopg
import pytest
from psycopg import OperationalError
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from scheduler.cli import context
from scheduler.cli.context import DatabaseAway, DiskFull, failure, open_service
from scheduler.cli.main import COMMANDS, Commands, apportion
from scheduler.settings import Settings
from tests.rig import postgres as postgres_rig

REPO = Path(__file__).parents[2]


def program(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from scheduler.cli.main import main; main()", *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_program_reads_is_utf8_in_every_locale(encoding: str, tmp_path: Path) -> None:
    directory = tmp_path / "задание-😀"

    ended = subprocess.run(
        [sys.executable, "-m", "scheduler", "schema", "--write", str(directory)],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert str(directory) in ended.stdout.decode()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"APPORTION_DATABASE_URL": "postgresql://u:very-secret@127.0.0.1:1/x"}, "127.0.0.1:1/x"),
        ({"APPORTION_DATABASE_URL": "mysql://u:very-secret@h/x"}, "write postgresql://"),
        ({"APPORTION_DATABASE_URL": "very-secret"}, "is not a URL"),
        ({"APPORTION_LOG_JSON": "very-secret"}, "APPORTION_LOG_JSON: "),
    ],
)
def test_a_wrong_setting_is_one_line_without_the_secret(env: dict[str, str], said: str) -> None:
    ended = program("status", **env)

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("apportion: ")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "very-secret" not in ended.stderr


def test_what_came_from_outside_cannot_command_the_terminal(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog\x1b[2J.yaml"

    ended = program("offers", APPORTION_CATALOG=str(catalog))

    assert ended.returncode == 1
    assert "catalog?[2J.yaml" in ended.stderr
    assert "\x1b" not in ended.stderr


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ('password authentication failed for user "u"', "mend the user and the password"),
        ('database "x" does not exist', "create it"),
        ("Connection refused", "start it"),
    ],
)
def test_a_database_that_is_not_to_be_had_is_told_with_what_mends_it(
    reason: str, advice: str
) -> None:
    assert advice in str(DatabaseAway(where="db/x", reason=reason))


def test_a_refused_login_is_told_without_the_way_to_it() -> None:
    said = (
        'connection failed: connection to server at "127.0.0.1", port 5432 failed:'
        ' FATAL:  password authentication failed for user "u"'
    )
    error = DBAPIError.instance(None, None, OperationalError(said), psycopg.Error)

    assert isinstance(error, DBAPIError)
    assert failure(error) == 'password authentication failed for user "u"'


def test_a_session_that_is_lost_as_the_service_opens_is_told_as_an_absent_database(
    database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(conn: Connection) -> None:
        its_pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with engine.begin() as above:
            above.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": its_pid})
        conn.execute(text("SELECT 1"))

    monkeypatch.setattr(context, "ensure_partitions", lost)
    settings = Settings(database_url=SecretStr(database_url))

    with pytest.raises(DatabaseAway, match="terminating connection"), open_service(settings):
        pass


def test_a_database_that_takes_no_more_sessions_is_told_as_an_absent_one(
    database_url: str, postgres: postgres_rig.Server
) -> None:
    settings = Settings(database_url=SecretStr(database_url))

    with (
        pytest.raises(DatabaseAway, match="not currently accepting") as told,
        open_service(settings) as service,
        postgres_rig.closed(postgres, database_url),
    ):
        service.engine.connect()

    assert told.value.passes


def test_a_full_disk_of_the_database_is_told_as_one(database_url: str) -> None:
    settings = Settings(database_url=SecretStr(database_url))
    full = "DO $$ BEGIN RAISE 'no room' USING ERRCODE = 'disk_full'; END $$"

    with (
        pytest.raises(DiskFull, match="no room; make room there"),
        open_service(settings) as service,
        service.engine.begin() as conn,
    ):
        conn.exec_driver_sql(full)


def test_a_full_disk_under_an_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "scheduler", "schema", "job"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith("apportion: the disk is full; make room")
    assert len(ended.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_written_is_one_line_with_its_name() -> None:
    path = f"/{'x' * 300}.png"

    ended = program("advise", "roi", "--plot", path)

    assert ended.returncode == 1
    assert ended.stderr == f"apportion: {path}: File name too long\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--task", "classify"], "classify needs --labels"),
        (["--task", "answer"], "answer needs --question"),
        (["--task", "extract"], "extract needs --schema"),
        (["--task", "extract", "--schema", __file__], "is not JSON"),
        (["--task", "summarize", "--out", "/proc/results.jsonl"], "give another --out"),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_anything_is_started(
    asked: list[str], said: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    ended = program("run", __file__, "--budget", "1", *asked, APPORTION_HOME=str(home))

    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not home.exists()


def test_an_unknown_command_is_refused() -> None:
    ended = program("frobnicate")

    assert ended.returncode == 2
    assert "No such command 'frobnicate'" in ended.stderr


def each_command() -> list[tuple[str, click.Command]]:
    ctx = click.Context(apportion)
    assert isinstance(apportion, Commands)
    found = []
    for name in apportion.list_commands(ctx):
        command = apportion.get_command(ctx, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", one) for inner, one in command.commands.items()]
    return found


def test_every_command_s_help_teaches_and_every_option_is_explained() -> None:
    for name, command in each_command():
        assert len(command.help or "") > 30, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts}"


def test_every_command_is_where_it_is_said_to_be() -> None:
    rooms = {file.stem: file.read_text() for file in (REPO / "scheduler" / "cli").glob("*.py")}
    there = {name for name, source in rooms.items() if re.search(r"^def command\(", source, re.M)}

    assert set(COMMANDS) == there


def test_help_comes_at_once() -> None:
    """Importing every command takes two seconds; a list of them must not."""
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "scheduler", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert "Put jobs into the queue." in imported.stdout
    assert not re.search(r"sqlalchemy|numpy", imported.stderr)
