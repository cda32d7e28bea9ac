"""A database that lets nobody write, as a server does that is the primary no more."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

_SAY = text("""
    SELECT format('ALTER DATABASE %I SET default_transaction_read_only = %s',
                  current_database(), CAST(:said AS text))
""")


@contextmanager
def read_only(engine: Engine) -> Iterator[None]:
    """No session that begins within the block may write."""
    _set(engine, "on")
    try:
        yield
    finally:
        _set(engine, "off")


def _set(engine: Engine, said: str) -> None:
    with engine.begin() as conn:
        # Whoever is kept from writing may still say that of itself.
        conn.exec_driver_sql("SET TRANSACTION READ WRITE")
        conn.exec_driver_sql(conn.execute(_SAY, {"said": said}).scalar_one())
