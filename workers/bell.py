"""Celery's bells over Postgres: kombu's SQLAlchemy transport, quicker and without litter.

Used where no broker is configured.  The stock transport looks once a second, and keeps every
message that was ever delivered; this one looks often, and deletes a message as it takes it.
What is sent through the stock transport arrives here: the tables are the same.
"""

import json
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import sqlalchemy as stock
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

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


class Channel(stock.Channel):
    """Takes messages; all else is the stock channel's."""

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
