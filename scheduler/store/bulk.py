"""Many rows at once: COPY in, for tables and for staging tables."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def copy_rows(
    conn: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Append *rows* to *table*, each with a value for every one of *columns*, by COPY.

    JSON columns take JSON text.  The caller owns the transaction.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver_errors(conn), driver(conn).cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def numbers(values: Iterable[float | None]) -> str:
    """*values* as Postgres spells an array, for `CAST(:values AS bigint[])` and its like.

    The driver's own arrays are made in Python, one element after another, and take ten times as
    long.
    """
    held = tuple(values)
    if None in held:
        return "{" + ",".join(["NULL" if one is None else str(one) for one in held]) + "}"
    return "{" + ",".join(map(str, held)) + "}"


def texts(values: Iterable[str | None]) -> str:
    """*values* as Postgres spells an array of texts; see `numbers`."""
    held = tuple(values)
    words = [one for one in held if one is not None]
    if not words or len(words) < len(held):
        return "{" + ",".join(["NULL" if one is None else f'"{_safe(one)}"' for one in held]) + "}"
    # Told from the word NULL by its quotes; what else would need them is too much to look for.
    joined = '","'.join(words)
    if "\\" in joined or joined.count('"') > 2 * (len(words) - 1):
        joined = '","'.join(map(_safe, words))
    return f'{{"{joined}"}}'


def _safe(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def driver(conn: Connection) -> psycopg.Connection[Any]:
    """psycopg's own connection under *conn*, in the same transaction."""
    # SQLAlchemy opens its transaction at the first statement; what goes past it must not be first.
    if not conn.in_transaction():
        conn.exec_driver_sql("")
    raw = conn.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


@contextmanager
def driver_errors(conn: Connection) -> Iterator[None]:
    """What psycopg raises within becomes what SQLAlchemy would raise for it.

    Whoever waits for a database that went away catches one kind of error, however the
    statement was sent.
    """
    raw = driver(conn)
    try:
        yield
    except psycopg.Error as error:
        is_gone = raw.closed or raw.broken
        if is_gone:
            conn.invalidate(error)
        raise DBAPIError.instance(
            None,
            None,
            error,
            psycopg.Error,
            connection_invalidated=is_gone,
            dialect=conn.dialect,
        ) from error
