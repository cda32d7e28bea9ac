"""One batch at a time into Postgres, beside the thread that reads the next one."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.errors import Overtaken
from scheduler.intake.batch import Batch, store_batch
from scheduler.store.passing import first_line, is_passing

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Stopping(Overtaken):
    """The process was told to stop while Postgres was away; the batch is not stored."""

    def __init__(self) -> None:
        super().__init__("stopped before the batch was stored")


@dataclass(slots=True, kw_only=True)
class Writer:
    """Stores batches in the order they are given, one transaction each.

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
    _batch: Batch | None = None
    _running: "Future[None] | None" = None

    def begin(self, batch: Batch) -> None:
        """Start to store *batch*; the one before must be finished."""
        assert self._running is None
        self._batch = batch
        self._running = self.pool.submit(self._store, batch)

    def finish(self, *, keep_alive: Callable[[], None], every_s: float = 3.0) -> Batch | None:
        """Wait for the batch that was begun, if any; it, once it is stored.

        *keep_alive* is called every *every_s* seconds.

        Raises:
            PositionMoved: it was rolled back, since another consumer had some of it.
            Stopping: it was not stored.
        """
        if self._running is None:
            return None
        while not wait([self._running], timeout=every_s).done:
            keep_alive()
        running, self._running = self._running, None
        batch, self._batch = self._batch, None
        running.result()
        return batch

    @property
    def batch(self) -> Batch | None:
        """The batch that was begun and not finished."""
        return self._batch

    def close(self) -> None:
        """Wait for the thread to end."""
        self.pool.shutdown()

    def _store(self, batch: Batch) -> None:
        tries = 0
        while True:
            try:
                self._store_once(batch)
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                wait_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
                tries += 1
                self.log.warning("intake waits for Postgres", tries=tries, error=first_line(error))
                if self.stop.wait(wait_s):
                    raise Stopping from None
            else:
                return

    def _store_once(self, batch: Batch) -> None:
        with self.engine.begin() as conn:
            refused = store_batch(
                conn, batch, dead_topic=self.dead_topic, payload_max=self.payload_max
            )
        for topic, count in refused.items():
            if count:
                self.log.warning("messages refused, see dead letters", topic=topic, count=count)
