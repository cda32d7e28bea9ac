"""Celery's bells over Postgres: kombu's SQLAlchemy transport, quicker and without litter.

Used where no broker is configured.  The stock transport looks once a second, keeps every message
that was ever delivered, and fails where two processes make its tables, or a queue, at the same
time; this one looks often, deletes a message as it takes it, and takes what another has made.
What is sent through the stock transport arrives here: the tables are the same.
"""

import json
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import sqlalchemy as stock
from kombu.transport.sqlalchemy.models import metadata
from sqlalchemy import Engine, text
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

SCHEME = "apportion"
STOCK_SCHEMES = ("sqla+", "sqlalchemy+")

_TAKE = text("""
    WITH oldest AS (
        SELECT kombu_message.id
        FROM kombu_message JOIN kombu_queue ON kombu_queue.id = kombu_message.queue_id
        WHERE kombu_queue.name = :queue AND visible
        ORDER BY kombu_message.id LIMIT 1
        FOR UPDATE OF kombu_message SKIP LOCKED
    )
    DELETE FROM kombu_message USING oldest WHERE kombu_message.id = oldest.id RETURNING payload
""")


_ADD_QUEUE = text("""
    INSERT INTO kombu_queue (id, name) VALUES (nextval('queue_id_sequence'), :queue)
    ON CONFLICT (name) DO NOTHING
""")

MAKERS_MOST = 5
"""Tries to make the tables: each fails because another process makes them just then."""


class Channel(stock.Channel):
    """Makes tables and queues, and takes messages; all else is the stock channel's."""

    def _engine_from_config(self) -> Engine:
        engine: Engine = super()._engine_from_config()  # type: ignore[no-untyped-call]
        for left in reversed(range(MAKERS_MOST)):
            try:
                # It looks first which there are, but only sees those that were committed.
                metadata.create_all(engine)
                break
            except (IntegrityError, ProgrammingError):
                if not left:
                    engine.dispose()
                    raise
        return engine

    def _get_or_create(self, queue: str) -> Any:
        try:
            self.session.execute(_ADD_QUEUE, {"queue": queue})
            self.session.commit()
        except DBAPIError:
            self.session.rollback()
            raise
        return super()._get_or_create(queue)  # type: ignore[no-untyped-call]

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ARG002 - kombu's
        try:
            payload = self.session.execute(_TAKE, {"queue": queue}).scalar_one_or_none()
            self.session.commit()
        except DBAPIError:
            # Else the next one to use it would be told of this, and not of what is wrong then.
            self.session.rollback()
            raise
        if payload is None:
            raise Empty
        return json.loads(payload)


class Transport(stock.Transport):
    """See the module."""

    Channel = Channel
    polling_interval = 0.1
    # Celery connects anew after these.
    connection_errors = (OperationalError, InterfaceError)  # type: ignore[assignment]


def broker_url(url: str) -> str:
    """*url* as this process consumes from it: Postgres through the transport above."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
    for scheme in STOCK_SCHEMES:
        if url.startswith(f"{scheme}postgresql"):
            return f"{SCHEME}+{url.removeprefix(scheme)}"
    return url
