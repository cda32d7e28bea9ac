"""One at a time: what only one process of the service may do, by a lock of its session."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from sqlalchemy import Connection, Engine, text

# Postgres's advisory locks have two keys; the first is ours in all of them.
OURS = 4120


class Duty(IntEnum):
    """What is done by one process at a time; the second key."""

    PLANNING = 3
    RINGING = 4


_TAKE = text("SELECT pg_try_advisory_lock(:ours, :duty)")
_LEAVE = text("SELECT pg_advisory_unlock(:ours, :duty)")


@contextmanager
def on_duty(engine: Engine, duty: Duty) -> Iterator[Connection | None]:
    """The connection that holds *duty*, or None while another process has it.

    The duty is the session's: it ends with the block, or when the process or its connection
    dies.  What is done in it goes through this connection, so that whoever has lost the duty
    cannot commit.
    """
    with engine.connect() as conn:
        keys = {"ours": OURS, "duty": int(duty)}
        is_ours = bool(conn.execute(_TAKE, keys).scalar_one())
        conn.commit()
        if not is_ours:
            yield None
            return
        try:
            yield conn
        finally:
            _leave(conn, keys)


def _leave(conn: Connection, keys: dict[str, int]) -> None:
    if conn.invalidated:
        return
    conn.rollback()
    conn.execute(_LEAVE, keys)
    conn.commit()
