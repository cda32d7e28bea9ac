"""Brings a database to the newest schema, and says how far one is."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.pool import NullPool

from scheduler.domain.errors import Refused

# Postgres's advisory locks have two keys; the first is ours in all of them.
MIGRATION_LOCK = func.pg_advisory_lock(4120, 0)
MIGRATION_UNLOCK = func.pg_advisory_unlock(4120, 0)
# A database may have a limit for waiting, and another's migration takes as long as it takes.
_WAIT = text("SET lock_timeout = 0")
_WAIT_AS_BEFORE = text("RESET lock_timeout")
MONTHS_AHEAD = 3


class SchemaBehind(Refused):
    """The database was made by another version of the program."""

    def __init__(self, *, found: str | None, wanted: str) -> None:
        super().__init__(
            f"the database's schema is {found or 'empty'} and this program needs {wanted}; "
            "run `apportion migrate`"
        )
        self.found = found
        self.wanted = wanted


def upgrade(url: str) -> str:
    """Migrate the database at *url* (postgresql+psycopg://) to the newest schema; its revision.

    Safe to run from many processes at once: one migrates, the others wait for it.
    """
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        conn.execute(_WAIT)
        conn.execute(select(MIGRATION_LOCK))
        conn.execute(_WAIT_AS_BEFORE)
        conn.commit()
        config = _config()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
        conn.commit()
        conn.execute(select(MIGRATION_UNLOCK))
        conn.commit()
    return newest()


def newest() -> str:
    """The revision that this program's tables need."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def check(conn: Connection) -> None:
    """Check that the schema is this program's.

    Raises:
        SchemaBehind: it is not.
    """
    found = MigrationContext.configure(conn).get_current_revision()
    if found != newest():
        raise SchemaBehind(found=found, wanted=newest())


def ensure_partitions(conn: Connection) -> int:
    """Make the monthly partitions up to three months ahead; how many were missing."""
    made: int = conn.execute(select(func.ensure_partitions(MONTHS_AHEAD))).scalar_one()
    return made


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    return config
