"""Rows on their way in: by COPY, straight into their table or into a temporary one beside it."""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from psycopg import sql
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from scheduler.store.bulk import driver, driver_errors

T = TypeVar("T")
TRIES = 10
TEXT_OID = 25


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

    Other than text it needs no escapes, and bytes stay half as long.  A column of `jsonb` or
    `text[]` is given as what `jsonb` and `text_array` make, and its type is `bytea`: these bytes
    are sent as they are, since the driver makes such values one by one in Python.
    """
    cursor = driver(conn).cursor()
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver_errors(conn), cursor.copy(statement) as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            copy.write_row(row)


def jsonb(said: str) -> bytes:
    """JSON text as `copy_binary` sends it: behind the number of the format."""
    return b"\x01" + said.encode()


@lru_cache(maxsize=1_024)
def text_array(values: tuple[str, ...]) -> bytes:
    """An array of texts as `copy_binary` sends it."""
    if not values:
        return struct.pack("!iii", 0, 0, TEXT_OID)
    encoded = [value.encode() for value in values]
    head = struct.pack("!iiiii", 1, 0, TEXT_OID, len(encoded), 1)
    return head + b"".join(struct.pack("!i", len(one)) + one for one in encoded)


def unless_added_meanwhile(conn: Connection, add: Callable[[], T]) -> T:
    """What *add* gives, which looks up what is known and copies the rest into its table.

    It is called again if another process has added one of the rows between the two; the next
    time that one is known.
    """
    for _ in range(TRIES - 1):
        try:
            with conn.begin_nested():
                return add()
        except IntegrityError as error:
            if not isinstance(error.orig, UniqueViolation):
                raise
    return add()
