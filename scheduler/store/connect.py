"""Engines: how every process reaches Postgres, and as whom."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event

APP_ROLE = "apportion_app"
RANDOM_PAGE_COST = 1.1
"""What a page in no order costs beside the next one; Postgres' own 4 is that of a turning disk.

With 4 a thousand jobs that are known by their ids were found by reading every job there is, where
these are some tens of thousands: most of what moving them took.
"""
_READ_ONLY = "25006"


def open_engine(url: str, *, pool_size: int = 4, statement_timeout_s: int = 300) -> Engine:
    """An engine on *url* (postgresql+psycopg://) whose sessions act as `apportion_app`.

    That role can neither change the append-only tables nor the schema, whoever logged in.
    """
    options = (
        f"-c role={APP_ROLE} -c statement_timeout={statement_timeout_s}s -c timezone=UTC"
        f" -c random_page_cost={RANDOM_PAGE_COST}"
    )
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        # The connection that was used last has its statements prepared.
        pool_use_lifo=True,
        connect_args={"options": options, "application_name": "apportion"},
    )
    event.listen(engine, "handle_error", _leave_former_primary)
    return engine


def _leave_former_primary(context: ExceptionContext) -> None:
    """Connect anew where a server only lets us read: after a failover another is the primary."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


@contextmanager
def snapshot(engine: Engine, *, statement_timeout_s: int = 300) -> Iterator[Connection]:
    """A read-only connection whose statements all see the database at one instant."""
    with engine.connect() as conn:
        conn = conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with conn.begin():
            conn.exec_driver_sql(f"SET LOCAL statement_timeout = '{statement_timeout_s}s'")
            yield conn
