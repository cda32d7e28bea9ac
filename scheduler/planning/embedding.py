"""Embeds documents before their jobs are planned, and before something is learned from them.

Not at intake: a text takes milliseconds, where a whole message takes a fraction of one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from scheduler.domain.job import When
from scheduler.estimate.embedding import CHARACTERS_MOST, Embedder
from scheduler.store.embeddings import (
    NO_VECTORS,
    Vectors,
    add_vectors,
    queued_without,
    scored_without,
)
from scheduler.store.sources import DocumentChanged, Source, read_sources, text_of

logger = structlog.get_logger(__name__)

AT_ONCE = 256
"""Documents whose texts are in memory at a time, and whose vectors are written together."""
LEARNED_MAX = 200_000

Begin = Callable[[], AbstractContextManager[Connection]]
"""Opens a transaction; each chunk of vectors is written in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """How many documents were embedded, could not be read, and were not reached in time."""

    done: int
    unreadable: int
    not_reached: int

    def tell(self) -> None:
        """Say in the log what is left without a vector."""
        if self.unreadable or self.not_reached:
            logger.warning(
                "documents without an embedding; known by the offers' means alone",
                unreadable=self.unreadable,
                not_reached=self.not_reached,
            )


def vectors_of(embedder: Embedder | None) -> Vectors:
    """Whose vectors are read beside the features."""
    return NO_VECTORS if embedder is None else Vectors(model=embedder.name, width=embedder.width)


def embed_queued(
    begin: Begin,
    embedder: Embedder,
    *,
    before: Mapping[When, datetime],
    limit: int,
    seconds: float,
    passed: int = 0,
) -> Embedded:
    """Embed what queued jobs lack, those that wait longest first but for the *passed* ones.

    It ends after *seconds*, or a chunk later: of what is then left, plans know the means alone.
    """
    with begin() as conn:
        documents = queued_without(conn, embedder.name, before=before, limit=limit, passed=passed)
    return _embed(begin, embedder, documents, until=time.monotonic() + seconds)


def embed_scored(begin: Begin, embedder: Embedder) -> Embedded:
    """Embed what answers with feedback were about, however long it takes."""
    with begin() as conn:
        documents = scored_without(conn, embedder.name, limit=LEARNED_MAX)
    return _embed(begin, embedder, documents, until=float("inf"))


def _embed(begin: Begin, embedder: Embedder, documents: Sequence[int], *, until: float) -> Embedded:
    done = tried = 0
    for start in range(0, len(documents), AT_ONCE):
        if time.monotonic() >= until:
            break
        chunk = documents[start : start + AT_ONCE]
        done += _embed_chunk(begin, embedder, chunk)
        tried += len(chunk)
    return Embedded(done=done, unreadable=tried - done, not_reached=len(documents) - tried)


def _embed_chunk(begin: Begin, embedder: Embedder, documents: Sequence[int]) -> int:
    with begin() as conn:
        sources = read_sources(conn, documents)
    found = [(one.document_id, _text_of(one)) for one in sources]
    texts = {document: text for document, text in found if text is not None}
    if not texts:
        return 0
    # No transaction is open while the model runs.
    made = embedder.embedded(list(texts.values())).astype("<f2")
    with begin() as conn:
        add_vectors(conn, embedder.name, list(texts), [one.tobytes() for one in made])
    return len(texts)


def _text_of(source: Source) -> str | None:
    """The text's beginning; None where its file is gone, or is another than was taken in."""
    try:
        return text_of(source)[:CHARACTERS_MOST]
    except DocumentChanged:
        return None
