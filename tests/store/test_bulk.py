"""Many rows at once, in the caller's transaction, with SQLAlchemy's errors."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from scheduler.store.bulk import copy_rows, numbers, texts

COLUMNS = ("topic", "partition", "next_offset")
COUNT = text("SELECT count(*) FROM position")


def test_rows_are_part_of_the_caller_s_transaction(engine: Engine) -> None:
    with engine.connect() as conn:
        copy_rows(conn, "position", COLUMNS, [("jobs", n, 0) for n in range(10)])
        assert conn.execute(COUNT).scalar_one() == 10
        conn.rollback()

        assert conn.execute(COUNT).scalar_one() == 0


def test_a_row_that_breaks_a_rule_is_an_error_as_of_any_statement(conn: Connection) -> None:
    with pytest.raises(IntegrityError, match="pk_position"):
        copy_rows(conn, "position", COLUMNS, [("jobs", 1, 0), ("jobs", 1, 0)])


def test_a_database_that_goes_away_is_an_error_as_of_any_statement(engine: Engine) -> None:
    with engine.connect() as conn, engine.connect() as other:
        pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()

        def rows() -> Iterator[tuple[str, int, int]]:
            yield "jobs", 1, 0
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            for n in range(2, 200_000):
                yield "jobs", n, 0

        with pytest.raises(OperationalError) as gone:
            copy_rows(conn, "position", COLUMNS, rows())

        assert gone.value.connection_invalidated


# Postgres takes no NUL in a text, and UTF-8 has no lone surrogates.
anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.none() | anything), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_arrays_arrive_as_they_were_sent(
    conn: Connection, words: list[str | None], figures: list[int | None]
) -> None:
    words += ["NULL", "", '{"a": "b\\"}', "a,b", " "]

    row = conn.execute(
        text("SELECT CAST(:words AS text[]) AS words, CAST(:figures AS bigint[]) AS figures"),
        {"words": texts(words), "figures": numbers(figures)},
    ).one()

    assert row.words == words
    assert row.figures == figures
