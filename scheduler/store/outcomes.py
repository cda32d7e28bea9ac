"""What became of answers and calls, as the estimators learn from it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from scheduler.estimate.features import FEATURES, TOKEN_STATS
from scheduler.store.embeddings import NO_VECTORS, Vectors

# One outcome per job.  Of people's, the last score, or else the last reference's, or else the last
# use, edit or ignore; beside it, or in its place, a judge's last score.
_SCORES = text("""
    SELECT job.document_id, job.project_id, document.features, embedding.vector, job.task,
           offer.name AS offer, result.reduction,
           (offer.quality_prior ->> job.task)::float8 / 1e6 AS prior,
           CASE said.kind WHEN 'use' THEN 1.0
                WHEN 'edit' THEN :edit_score WHEN 'ignore' THEN 0.0
                ELSE said.score_ppm / 1e6 END::float8 AS said,
           judged.score_ppm / 1e6::float8 AS judged, judge.name AS judge,
           greatest(result.at, least(said.first_at, judged.first_at)) AS at
    FROM (SELECT DISTINCT ON (job_id) job_id, kind, score_ppm,
                 min(at) OVER (PARTITION BY job_id) AS first_at FROM feedback
          WHERE judge_offer_id IS NULL AND (kind <> 'reference' OR score_ppm IS NOT NULL)
          ORDER BY job_id, (kind = 'score') DESC, (kind = 'reference') DESC, at DESC,
                   id DESC) AS said
    FULL JOIN (SELECT DISTINCT ON (job_id) job_id, judge_offer_id, score_ppm,
                 min(at) OVER (PARTITION BY job_id) AS first_at FROM feedback
          WHERE judge_offer_id IS NOT NULL
          ORDER BY job_id, at DESC, id DESC) AS judged USING (job_id)
    LEFT JOIN offer judge ON judge.id = judged.judge_offer_id
    JOIN result USING (job_id)
    JOIN job ON job.id = job_id
    JOIN document ON document.id = job.document_id
    JOIN offer ON offer.id = result.offer_id
    LEFT JOIN embedding ON embedding.document_id = document.id AND embedding.model = :model
        AND octet_length(embedding.vector) = :vector_bytes
    WHERE result.status = 'done' AND octet_length(document.features) = :width
    ORDER BY at DESC, job_id DESC
    LIMIT :limit
""")

_CALLS = text("""
    SELECT document.token_stats, offer.tokenizer, offer.name AS offer, job.task,
           attempt.input_tokens, attempt.output_tokens, attempt.finish = 'length' AS cut,
           attempt.seconds, attempt.cost_nusd, price.input_pusd, price.output_pusd,
           attempt.finished_at AS at
    FROM attempt
    LEFT JOIN price ON price.id = attempt.price_id
    JOIN job ON job.id = attempt.job_id
    JOIN document ON document.id = job.document_id
    JOIN offer ON offer.id = attempt.offer_id
    WHERE (attempt.state = 'succeeded' OR attempt.state = 'failed' AND attempt.finish = 'length')
      AND attempt.reduction = 'none' AND job.task <> 'judge'
      AND attempt.input_tokens > 0 AND attempt.output_tokens > 0
      AND attempt.started_at > now() - :age AND octet_length(document.token_stats) = :width
    ORDER BY attempt.started_at DESC, attempt.id
    LIMIT :limit
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """n outcomes of answers, the newest first.

    Attributes:
        document, project: (n,) int64 ids.  features: (n, FEATURES) float16 of those documents.
        embedded: (n, w) float16, of an embedding model; zeros where a document has none.
        prior: (n,) the catalog's, NaN where it has none.
        said: (n,) 0 to 1, by people; NaN where none said anything.
        judged: (n,) 0 to 1, by a judge, or NaN; one of the two is there.
        judge: the offer that judged, or None.
        at: since when it could be learned from: the answer was there, and a first word on it.
    """

    document: NDArray[np.int64]
    project: NDArray[np.int64]
    features: NDArray[np.float16]
    embedded: NDArray[np.float16]
    task: list[str]
    offer: list[str]
    reduction: list[str]
    prior: NDArray[np.float64]
    said: NDArray[np.float64]
    judged: NDArray[np.float64]
    judge: list[str | None]
    at: list[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """n good calls on whole documents, the newest first; stats are (n, TOKEN_STATS) int32.

    Prices are those that the call was billed by, per token; 0 where they are not known.
    """

    stats: NDArray[np.int32]
    family: list[str]
    offer: list[str]
    task: list[str]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    cut: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    cost_nusd: NDArray[np.int64]
    input_pusd: NDArray[np.int64]
    output_pusd: NDArray[np.int64]
    at: list[datetime]


def read_scores(
    conn: Connection, *, edit_score: float, limit: int, vectors: Vectors = NO_VECTORS
) -> Scores:
    """What was said of answers; one that was edited is worth *edit_score*."""
    size = 2 * vectors.width
    asked = {"edit_score": edit_score, "limit": limit, "width": 2 * FEATURES}
    rows = conn.execute(_SCORES, asked | {"model": vectors.model, "vector_bytes": size}).all()
    none = bytes(size)
    return Scores(
        document=np.array([row.document_id for row in rows], np.int64),
        project=np.array([row.project_id for row in rows], np.int64),
        features=_matrix([row.features for row in rows], "<f2", FEATURES),
        embedded=_matrix([row.vector or none for row in rows], "<f2", vectors.width),
        task=[row.task for row in rows],
        offer=[row.offer for row in rows],
        reduction=[row.reduction for row in rows],
        prior=_or_nan([row.prior for row in rows]),
        said=_or_nan([row.said for row in rows]),
        judged=_or_nan([row.judged for row in rows]),
        judge=[row.judge for row in rows],
        at=[row.at for row in rows],
    )


def read_calls(conn: Connection, *, age: Any, limit: int) -> Calls:
    """What providers reported of calls not older than *age* (a timedelta)."""
    rows = conn.execute(_CALLS, {"age": age, "limit": limit, "width": 4 * TOKEN_STATS}).all()
    return Calls(
        stats=_matrix([row.token_stats for row in rows], "<i4", TOKEN_STATS),
        family=[row.tokenizer for row in rows],
        offer=[row.offer for row in rows],
        task=[row.task for row in rows],
        input_tokens=np.array([row.input_tokens for row in rows], np.int64),
        output_tokens=np.array([row.output_tokens for row in rows], np.int64),
        cut=np.array([bool(row.cut) for row in rows], np.bool_),
        seconds=np.array([row.seconds or 0.0 for row in rows], np.float64),
        cost_nusd=np.array([row.cost_nusd for row in rows], np.int64),
        input_pusd=np.array([row.input_pusd or 0 for row in rows], np.int64),
        output_pusd=np.array([row.output_pusd or 0 for row in rows], np.int64),
        at=[row.at for row in rows],
    )


def _matrix(rows: list[bytes], dtype: str, width: int) -> NDArray[Any]:
    return np.frombuffer(b"".join(rows), dtype).reshape(len(rows), width)


def _or_nan(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
