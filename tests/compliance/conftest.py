"""One day's work, made once; each test alters it in a transaction that is rolled back."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine

from scheduler.store.evidence import append
from tests.compliance.day import a_day
from tests.rig import postgres as postgres_rig


@pytest.fixture(scope="session")
def day_engine(postgres: postgres_rig.Server, template: str) -> Iterator[Engine]:
    with postgres_rig.database(postgres, like=template) as name:
        engine = create_engine(postgres.database(name))
        with engine.begin() as conn:
            a_day(conn)
            append(conn, stream="long", kind="k", bodies=[{"n": n} for n in range(1, 8)])
        yield engine
        engine.dispose()


@pytest.fixture
def day(day_engine: Engine) -> Iterator[Connection]:
    with day_engine.connect() as conn:
        yield conn
        conn.rollback()
