"""Rings for parcels: tells a provider's workers, through Celery, that work waits for them.

The bell is a hint; Postgres holds the work.  A bell that is lost rings again, one that rings
twice finds the parcel taken, and neither does harm.
"""

from datetime import timedelta
from threading import Event
from types import TracebackType
from typing import Any, Self

import structlog
from celery import Celery
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.errors import Unavailable
from scheduler.domain.policy import PlanPolicy
from scheduler.store.bells import Bell, due_bells, mark_rung
from scheduler.store.locks import Duty, on_duty
from scheduler.store.passing import first_line, is_passing

logger = structlog.get_logger(__name__)

TASK = "apportion.work"
"""The workers' task, by name: nothing of theirs is imported here."""

BATCH = 50
"""Bells between two marks: at most so many ring twice when the relay is killed between them."""

CONNECT_S = 5.0
WAIT_MOST_S = 30.0


def queue_of(provider: str) -> str:
    """The name of the Celery queue of *provider*'s workers."""
    return f"apportion.{provider}"


class BrokerAway(Unavailable):
    """Celery's broker cannot be reached."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Celery's broker cannot be reached: {reason}; parcels wait, and are rung for when "
            "it is back (APPORTION_BROKER_URL)"
        )
        self.reason = reason


class Ringer:
    """Sends bells over one connection to the broker, kept open between them."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        # kombu's Connection and Producer, which say little of their types.
        self._connection: Any = None
        self._producer: Any = None

    def ring(self, bell: Bell) -> None:
        """Send *bell* to its provider's queue.

        Raises:
            BrokerAway: it did not get there, or is not known to have.
        """
        try:
            self._app.send_task(
                TASK,
                args=(bell.parcel_id, bell.attempt),
                queue=queue_of(bell.provider),
                producer=self._ready(),
                ignore_result=True,
                retry=False,
            )
        except self._troubles() as trouble:
            self.close()
            # Only the kind of some errors: their text may quote the broker's URL.
            said = str(trouble).partition("\n")[0] or type(trouble).__name__
            raise BrokerAway(said) from None

    def close(self) -> None:
        """Let go of the connection, however it is."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ready(self) -> Any:
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            # Left to itself, it would try for ever, and nobody would hear of it.
            self._connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_S)
            self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        return self._producer

    def _troubles(self) -> tuple[type[BaseException], ...]:
        if self._connection is None:
            return (BrokerError, DBAPIError, OSError)
        # Those of channels, too: a login that is refused is one, and a person may mend it.
        own = (*self._connection.connection_errors, *self._connection.channel_errors)
        # Of a broker in Postgres any error is its own: a worker may make its tables just now.
        return (BrokerError, DBAPIError, OSError, *own)


def ring_due(engine: Engine, ringer: Ringer, *, policy: PlanPolicy) -> int:
    """Ring the bells that are due; how many.  Blocks for as long as the broker takes.

    No row is locked, and no transaction open, while the broker is spoken to.

    Raises:
        BrokerAway: those that did not get there stay due.
    """
    with engine.begin() as conn:
        bells = due_bells(conn, bells_max=policy.bells_max)
    for start in range(0, len(bells), BATCH):
        sent = []
        try:
            for bell in bells[start : start + BATCH]:
                ringer.ring(bell)
                sent.append(bell)
        finally:
            if sent:
                with engine.begin() as conn:
                    mark_rung(conn, sent, again=timedelta(seconds=policy.ring_s))
    return len(bells)


def run(engine: Engine, app: Celery, *, policy: PlanPolicy, stop: Event) -> None:
    """Ring bells as they fall due, until *stop* is set.  Blocks.

    One process rings at a time; others stand by, and take over when it is gone.
    """
    wait_s = policy.poll_s
    with Ringer(app) as ringer:
        while not stop.is_set():
            try:
                with on_duty(engine, Duty.RINGING) as duty:
                    if duty is not None:
                        ring_due(engine, ringer, policy=policy)
                wait_s = policy.poll_s
            except (DBAPIError, Unavailable) as trouble:
                if isinstance(trouble, DBAPIError) and not is_passing(trouble):
                    raise
                wait_s = min(max(wait_s, policy.poll_s) * 2, WAIT_MOST_S)
                logger.warning("relay waits", reason=first_line(trouble), wait_s=wait_s)
            stop.wait(wait_s)
