"""The jobs topic's handler, and how full the queue is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from scheduler.intake.chunk import Chunk, Reader, Refusal
from scheduler.intake.ingest import Placed, ScopeBook, store_chunk, store_documents
from scheduler.intake.unwrap import Headers
from scheduler.store.jobs_in import count_queued


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIntake:
    """Takes in jobs.  See `scheduler.intake.batch.Handler`."""

    reader: Reader
    scopes: ScopeBook = field(default_factory=ScopeBook)

    def read(self, values: Sequence[bytes | None], headers: Sequence[Headers]) -> Chunk:
        return self.reader.read(values, headers)

    def warm_up(self) -> None:
        self.reader.read([b'{"job_id": "warm-up", "task": "summarize", "text": "warm up"}'])

    def store_ahead(self, conn: Connection, said: Chunk) -> Placed:
        return store_documents(conn, said, scopes=self.scopes)

    def store(
        self, conn: Connection, said: Chunk, *, source: str, ahead: Placed | None
    ) -> list[Refusal]:
        stored = store_chunk(conn, said, scopes=self.scopes, source=source, placed=ahead)
        return stored.refused


@dataclass(slots=True, kw_only=True)
class QueueGauge:
    """Whether the queue has room, without counting it for every batch.

    Attributes:
        jobs_max: the queue is full at so many queued jobs.
        clock: seconds, never going back.
        recount_s: others add jobs too, so they are counted again after this,
        full_s: and after this while the queue is full.
    """

    engine: Engine
    jobs_max: int
    clock: Callable[[], float]
    recount_s: float = 30.0
    full_s: float = 1.0
    _queued: int = 0
    _counted_at: float | None = None

    def is_full(self) -> bool:
        """Whether intake must wait."""
        if self._is_stale():
            with self.engine.connect() as conn:
                self._queued = count_queued(conn, limit=self.jobs_max)
            self._counted_at = self.clock()
        return self._queued >= self.jobs_max

    def add(self, messages: int) -> None:
        """Note that up to *messages* jobs are being added."""
        self._queued += messages

    def _is_stale(self) -> bool:
        if self._counted_at is None:
            return True
        age_s = self.clock() - self._counted_at
        return age_s >= (self.full_s if self._queued >= self.jobs_max else self.recount_s)
