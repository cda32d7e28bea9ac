"""Which errors pass by themselves, and that a former primary is left."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from scheduler.store.connect import open_engine
from scheduler.store.passing import first_line, is_passing
from tests.store.read_only import read_only

WRITE = text("INSERT INTO position (topic, partition, next_offset) VALUES ('t', 0, 1)")


def trouble(engine: Engine, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught, engine.begin() as conn:
        conn.execute(text(statement))
    return caught.value


def test_another_connection_is_made_where_the_server_only_lets_us_read(
    engine: Engine, database_url: str
) -> None:
    ours = open_engine(database_url)
    with read_only(engine):
        with pytest.raises(DBAPIError) as caught, ours.begin() as conn:
            conn.execute(WRITE)
        assert is_passing(caught.value)

    with ours.begin() as conn:
        assert conn.execute(WRITE).rowcount == 1
    ours.dispose()


@pytest.mark.parametrize(
    ("statement", "passes"),
    [
        ("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)", True),
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
        ("SELECT array_fill(0, ARRAY[100000, 100000])", False),
        ("INSERT INTO position (topic) VALUES ('t')", False),
        ("SELECT 1 / 0", False),
    ],
)
def test_what_is_wrong_with_the_statement_itself_does_not_pass(
    engine: Engine, statement: str, passes: bool
) -> None:
    assert is_passing(trouble(engine, statement)) is passes


def test_a_reason_has_one_line(engine: Engine) -> None:
    error = trouble(engine, "SELECT\n  nothing")

    assert first_line(error) == 'column "nothing" does not exist'
    assert first_line(ValueError("a\nb")) == "a"
