"""Batches into Postgres, one after another, beside the thread that reads the next one."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.errors import Overtaken
from scheduler.intake.batch import Batch, store_ahead, store_batch
from scheduler.store.passing import first_line, is_passing

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Stopping(Overtaken):
    """The process was told to stop while Postgres was away; the batch is not stored."""

    def __init__(self) -> None:
        super().__init__("stopped before the batch was stored")


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that is being stored."""

    batch: Batch
    running: "Future[None]"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was stored ahead of a batch, as its parts' handlers said it.

    It is there for the session that stored it.  Another session may be one of another server, which
    took over without having heard of it and gives its documents' ids to others.
    """

    conn: Connection
    said: list[Any]


@dataclass(slots=True, kw_only=True)
class Writer:
    """Stores batches in the order they are given, one transaction each.

    While one is stored, what may be stored ahead of the next is, in a transaction of its own.
    While Postgres is away it tries again, and says so; nothing is acknowledged meanwhile.
    """

    engine: Engine
    dead_topic: str
    payload_max: int
    stop: threading.Event
    log: Any
    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="intake-writer")
    )
    ahead: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="intake-ahead")
    )
    _begun: deque[Begun] = field(default_factory=deque)

    def begin(self, batch: Batch) -> None:
        """Start to store *batch*; no more than one may be before it."""
        assert len(self._begun) < 2
        ahead = self.ahead.submit(self._store_ahead, batch) if self._begun else None
        self._begun.append(Begun(batch, self.pool.submit(self._store, batch, ahead)))

    def finish(self, *, keep_alive: Callable[[], None], every_s: float = 3.0) -> Batch:
        """Wait for the batch that was begun first; it, once it is stored.

        *keep_alive* is called every *every_s* seconds.

        Raises:
            PositionMoved: it was rolled back, since another consumer had some of it.
            Stopping: it was not stored.
        """
        running = self._begun[0].running
        while not wait([running], timeout=every_s).done:
            keep_alive()
        batch = self._begun.popleft().batch
        running.result()
        return batch

    @property
    def begun(self) -> Sequence[Batch]:
        """The batches that were begun and not finished, the first one first."""
        return [one.batch for one in self._begun]

    def close(self) -> None:
        """Wait for the threads to end."""
        self.ahead.shutdown()
        self.pool.shutdown()

    def _store_ahead(self, batch: Batch) -> Ahead | None:
        with ExitStack() as opened:
            try:
                conn = opened.enter_context(self.engine.connect())
                with conn.begin():
                    said = store_ahead(conn, batch)
            except DBAPIError as error:
                # Whatever it is, the transaction that counts meets it too, and knows what to do.
                self.log.debug("nothing was stored ahead", error=first_line(error))
                return None
            opened.pop_all()
        return Ahead(conn, said)

    def _store(self, batch: Batch, begun: "Future[Ahead | None] | None") -> None:
        ahead = begun.result() if begun else None
        tries = 0
        while True:
            try:
                self._store_once(batch, ahead)
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                ahead = None
                wait_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
                tries += 1
                self.log.warning("intake waits for Postgres", tries=tries, error=first_line(error))
                if self.stop.wait(wait_s):
                    raise Stopping from None
            else:
                return

    def _store_once(self, batch: Batch, ahead: Ahead | None) -> None:
        with ahead.conn if ahead else self.engine.connect() as conn, conn.begin():
            refused = store_batch(
                conn,
                batch,
                ahead=ahead.said if ahead else [None] * len(batch.parts),
                dead_topic=self.dead_topic,
                payload_max=self.payload_max,
            )
        for topic, count in refused.items():
            if count:
                self.log.warning("messages refused, see dead letters", topic=topic, count=count)
