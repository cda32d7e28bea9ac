"""A database for all tests that leave nothing behind: to make one for each takes longer."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine

from tests.rig import postgres as postgres_rig


@pytest.fixture(scope="session")
def shared_url(postgres: postgres_rig.Server, template: str) -> Iterator[str]:
    with postgres_rig.database(postgres, like=template) as name:
        yield postgres.database(name)


@pytest.fixture(scope="session")
def shared_engine(shared_url: str) -> Iterator[Engine]:
    engine = create_engine(shared_url)
    yield engine
    engine.dispose()


@pytest.fixture
def shared_conn(shared_engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back; ids go on from test to test."""
    with shared_engine.connect() as conn:
        yield conn
        conn.rollback()
