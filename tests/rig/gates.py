"""A place where a transaction stops until the test lets it on: in Postgres, not in our code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from tests.rig.waiting import eventually

WAITS = text("""
    SELECT EXISTS (SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 7 AND objid = 7 AND NOT granted)
""")
# The limit that tests have on waiting for locks is not meant for this one.
GATE = """
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql
SET lock_timeout = 0 AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7, 7);
    RETURN NULL;
END $$;
"""


@contextmanager
def gate(engine: Engine, *, before: str) -> Iterator[Callable[[], bool]]:
    """Nobody gets past *before*, like `DELETE ON outbox`, in this block.

    What it gives waits until someone stands there.  A process that is killed there has done all
    that comes before, and nothing of what comes after.
    """
    with engine.begin() as conn:
        conn.execute(text(GATE))
        conn.execute(
            text(
                f"CREATE TRIGGER gate BEFORE {before}"
                " FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()"
            )
        )
    holder, look = engine.connect(), engine.connect()
    holder.execute(text("SELECT pg_advisory_lock(7, 7)"))
    try:
        yield lambda: eventually(
            lambda: bool(look.execute(WAITS).scalar_one()),
            what=f"someone before {before}",
        )
    finally:
        # Not returned, but dropped: the server may have been killed meanwhile.
        for conn in (holder, look):
            conn.invalidate()
            conn.close()
    open_gate(engine)


def open_gate(engine: Engine) -> None:
    """Let everyone pass from now on."""
    with engine.begin() as conn:
        conn.execute(text("DROP FUNCTION IF EXISTS wait_at_gate() CASCADE"))
