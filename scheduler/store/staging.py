"""Rows on their way in: temporary tables that are filled by COPY and read by one statement."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import sql
from sqlalchemy import Connection

from scheduler.store.bulk import driver, driver_errors


def stage(
    conn: Connection, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]
) -> None:
    """Fill the temporary *table*, made where it is missing, with *rows*, and nothing else.

    *columns* are the columns' types by name; each row has a value for every one.  The rows are
    gone when the transaction ends.
    """
    name = sql.Identifier(table)
    types = (
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind))
        for column, kind in columns.items()
    )
    # Made once per session and emptied, not made anew: that would swell the system's catalogs.
    make = sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ({}) ON COMMIT DELETE ROWS").format(
        name, sql.SQL(", ").join(types)
    )
    with driver_errors(conn), driver(conn).cursor() as cursor:
        cursor.execute(make)
        cursor.execute(sql.SQL("TRUNCATE {}").format(name))
    copy_binary(conn, table, columns, rows)


def copy_binary(
    conn: Connection, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]
) -> None:
    """Append *rows* to *table*, whose *columns* are of these types, in Postgres's own format.

    Other than text it needs no escapes, and bytes stay half as long.
    """
    cursor = driver(conn).cursor()
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver_errors(conn), cursor.copy(statement) as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            copy.write_row(row)
