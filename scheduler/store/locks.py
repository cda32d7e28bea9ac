"""One at a time: what only one process of the service may do, by a lock of its session."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

# Postgres's advisory locks have two keys; the first is ours in all of them.
OURS = 4120


class Duty(IntEnum):
    """What is done by one process at a time; the second key."""

    PLANNING = 3
    RINGING = 4
    PUBLISHING = 5
    JUDGING = 6
    LEARNING = 7
    SHARING = 8
    RECORDING = 9


_ALONE = text("SELECT pg_advisory_xact_lock(:ours, :duty)")
_TRY = text("SELECT pg_try_advisory_lock(:ours, :duty)")
_WAIT = text("SELECT pg_advisory_lock(:ours, :duty)")
_PATIENCE = text("SELECT set_config('lock_timeout', :wait, true)")
_LEAVE = text("SELECT pg_advisory_unlock(:ours, :duty)")


def alone(conn: Connection, duty: Duty) -> None:
    """Wait for *duty*, and have it until the caller's transaction ends."""
    conn.execute(_ALONE, {"ours": OURS, "duty": int(duty)})


@contextmanager
def on_duty(engine: Engine, duty: Duty, *, wait_s: float = 0.0) -> Iterator[Connection | None]:
    """The connection that holds *duty*, or None if another process has it for all of *wait_s*.

    The duty is the session's: it ends with the block, or when the process or its connection
    dies.  What is done in it goes through this connection, so that whoever has lost the duty
    cannot commit.
    """
    with engine.connect() as conn:
        keys = {"ours": OURS, "duty": int(duty)}
        if not _take(conn, keys, wait_s=wait_s):
            yield None
            return
        try:
            yield conn
        finally:
            _leave(conn, keys)


def _take(conn: Connection, keys: dict[str, int], *, wait_s: float) -> bool:
    if wait_s <= 0:
        with conn.begin():
            return bool(conn.execute(_TRY, keys).scalar_one())
    try:
        with conn.begin():
            conn.execute(_PATIENCE, {"wait": f"{int(wait_s * 1000)}ms"})
            conn.execute(_WAIT, keys)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return False
        raise
    return True


def _leave(conn: Connection, keys: dict[str, int]) -> None:
    # A connection that broke has taken its locks with it.
    if not conn.invalidated:
        conn.rollback()
        with conn.begin():
            conn.execute(_LEAVE, keys)
