"""The vectors of an embedding model, beside the documents that they are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from scheduler.domain.job import When
from scheduler.store.bulk import numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Which vectors are read: those of the *model* of that name, *width* numbers each."""

    model: str
    width: int


NO_VECTORS = Vectors(model="", width=0)

_QUEUED = text("""
    SELECT document_id FROM (
        SELECT job.document_id, min(job.not_before) AS since
        FROM unnest(CAST(:kinds AS text[]), CAST(:befores AS timestamptz[])) AS due (kind, before)
        JOIN job ON job.state = 'queued' AND job.run_when = due.kind
                AND job.not_before <= due.before
        WHERE NOT EXISTS (SELECT FROM embedding
                          WHERE embedding.document_id = job.document_id AND model = :model)
        GROUP BY job.document_id
    ) AS missing ORDER BY since, document_id LIMIT :limit OFFSET :passed
""")
_SCORED = text("""
    SELECT DISTINCT job.document_id FROM feedback JOIN job ON job.id = feedback.job_id
    JOIN result ON result.job_id = job.id AND result.status = 'done'
    WHERE NOT EXISTS (SELECT FROM embedding
                      WHERE embedding.document_id = job.document_id AND model = :model)
    ORDER BY job.document_id DESC LIMIT :limit
""")
_ADD = text("""
    INSERT INTO embedding (document_id, model, vector)
    SELECT id, :model, vector
    FROM unnest(CAST(:ids AS bigint[]), CAST(:vectors AS bytea[])) AS made (id, vector)
    ORDER BY id
    ON CONFLICT DO NOTHING
""")


def queued_without(
    conn: Connection,
    model: str,
    *,
    before: Mapping[When, datetime],
    limit: int,
    passed: int = 0,
) -> list[int]:
    """Documents of queued jobs that have no vector of *model*, those that wait longest first.

    Of each kind in *before* come the jobs that may be planned since that time.  The first
    *passed* documents are left out.
    """
    asked = {"kinds": [str(kind) for kind in before], "befores": list(before.values())}
    more = {"model": model, "limit": limit, "passed": passed}
    return list(conn.execute(_QUEUED, asked | more).scalars())


def scored_without(conn: Connection, model: str, *, limit: int) -> list[int]:
    """Documents with feedback on an answer that have no vector of *model*, the newest first."""
    return list(conn.execute(_SCORED, {"model": model, "limit": limit}).scalars())


def add_vectors(
    conn: Connection, model: str, documents: Sequence[int], vectors: Sequence[bytes]
) -> None:
    """Keep the vectors (float16, little-endian) of *documents*; what is there stays as it is."""
    made = {"ids": numbers(documents), "vectors": list(vectors), "model": model}
    conn.execute(_ADD, made)
