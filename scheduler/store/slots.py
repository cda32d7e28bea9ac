"""Numbers for processes of one kind: each has one of its own for as long as it is connected."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

WORKERS = 4121
SLOTS_MAX = 10_000

_TAKE = text("""
    SELECT slot FROM generate_series(1, :most) AS slot
    WHERE pg_try_advisory_lock(:kind, slot) LIMIT 1
""")


@contextmanager
def own_slot(engine: Engine, *, kind: int = WORKERS) -> Iterator[int]:
    """The lowest number that no other process of that *kind* has, kept while the block runs.

    Two processes may have the same for a while after one lost its connection; so a number is
    for keeping them out of each other's way, not for safety.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        slot: int = conn.execute(_TAKE, {"kind": kind, "most": SLOTS_MAX}).scalar_one()
        try:
            yield slot
        finally:
            # The lock is the session's, and must not go back into the pool with it.
            conn.invalidate()
