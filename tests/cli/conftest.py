"""Commands on real databases: a day's work made once for those that read, fresh ones for others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text

from scheduler.cli.main import apportion
from tests.compliance.day import a_day
from tests.rig import postgres as postgres_rig

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def day_url(postgres: postgres_rig.Server, template: str) -> Iterator[str]:
    """A database with a day's work, and a little of everything that waits; only for reading."""
    with postgres_rig.database(postgres, like=template) as name:
        url = postgres.database(name)
        engine = create_engine(url)
        with engine.begin() as conn:
            a_day(conn)
            for statement in WAITING:
                conn.execute(text(statement))
        engine.dispose()
        yield url


WAITING = (
    "UPDATE job SET deferral_reason = 'no budget [yet]' WHERE key = 'c'",
    "INSERT INTO parcel (plan_id, offer_id, provider_id, jobs, attempt_limit, due_at)"
    " VALUES (1, 1, 1, 2, 5, now())",
    "INSERT INTO breaker (offer_id, failures, resting_until, last_error)"
    " VALUES (1, 5, now() + interval '1 hour', '[red]down[/red]')",
    "INSERT INTO outbox (topic, key, payload) VALUES ('documents.results', 'a', '{}')",
    "INSERT INTO dead_letter (source, reason, payload) VALUES ('kafka', 'no JSON', '')",
    "INSERT INTO position (topic, partition, next_offset) VALUES ('documents.jobs', 0, 42)",
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("status", "--json", database=url)`: a command within this process."""

    def run(*arguments: str, database: str, **env: str) -> Result:
        settings = {
            "APPORTION_DATABASE_URL": database,
            "APPORTION_HOME": str(tmp_path / "home"),
            "COLUMNS": "200",
        }
        return CliRunner().invoke(apportion, arguments, env=settings | env)

    return run
