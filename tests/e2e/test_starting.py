"""A process that serves, started while Postgres is away, waits for it as those that run do."""

from pathlib import Path

import pytest

from scheduler.store import embedded
from scheduler.store.migrate import upgrade
from tests.e2e.conftest import Start
from tests.rig import postgres as postgres_rig
from tests.rig.kafka import Topics


@pytest.fixture
def down(session_home: Path, tmp_path: Path) -> Path:
    """The home of a server with the service's schema, which is killed."""
    home = session_home / tmp_path.name
    with embedded.start(home) as server:
        upgrade(server.url)
        postgres_rig.kill(home)
    return home


@pytest.mark.parametrize(
    ("command", "at_work"),
    [
        (("serve",), "part=rescue"),
        (("serve", "--only", "planner"), "ready to plan"),
        (("worker",), "ready for work"),
    ],
)
def test_it_waits_aloud_and_then_works(
    down: Path, start: Start, kafka: Topics, command: tuple[str, ...], at_work: str
) -> None:
    url = f"postgresql:///apportion?host={down}/postgres&user=postgres"
    env = {"APPORTION_DATABASE_URL": url, "APPORTION_SANDBOX_URL": "http://127.0.0.1:9/v1"}
    process = start(*command, env=env)
    process.wait_for_line("waits for Postgres .*cannot reach the database at .*; start it, or mend")

    with postgres_rig.start_again(down):
        process.wait_for_line(at_work)
        process.terminate()
        assert process.wait() == 0

    assert "Traceback" not in process.output


def test_it_ends_in_time_while_it_waits(down: Path, start: Start) -> None:
    url = f"postgresql:///apportion?host={down}/postgres&user=postgres"
    process = start("serve", env={"APPORTION_DATABASE_URL": url})
    process.wait_for_line("waits for Postgres")

    process.terminate()

    assert process.wait() == 0


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_what_a_person_must_mend_is_not_waited_for(
    postgres: postgres_rig.Server, start: Start, command: str
) -> None:
    process = start(command, env={"APPORTION_DATABASE_URL": postgres.database("missing")})

    assert process.wait() == 1
    assert "create it (as by `createdb`)" in process.output
    assert "waits" not in process.output
