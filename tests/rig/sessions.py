"""Two sessions at one database, where one waits for what the other has not yet committed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection, Engine, text

from tests.rig.waiting import PATIENCE_S, eventually

_WAITING = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
""")


def while_another_does(
    engine: Engine, what: str | Callable[[Connection], object], work: Callable[[], None]
) -> None:
    """Do *work*; another session has done *what* (SQL, or by it), and commits once *work* waits."""

    def is_waiting() -> bool:
        with engine.connect() as conn:
            return bool(conn.execute(_WAITING).scalar_one())

    with ThreadPoolExecutor(1) as pool, engine.connect() as other:
        _ = other.execute(text(what)) if isinstance(what, str) else what(other)
        working = pool.submit(work)
        eventually(lambda: is_waiting() or working.done(), what="it to wait for the other")
        assert not working.done()
        other.commit()
        working.result(PATIENCE_S)
