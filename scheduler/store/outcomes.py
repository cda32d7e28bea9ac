"""What became of answers and calls, as the estimators learn from it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, TextClause, text

from scheduler.estimate.features import FEATURES, TOKEN_STATS
from scheduler.store.bulk import numbers
from scheduler.store.embeddings import NO_VECTORS, Vectors

# One outcome per job.  Of people's, the last score, or else the last reference's, or else the last
# use, edit or ignore; beside it, or in its place, a judge's last score.
_SCORED = """
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
    WHERE result.status = 'done' AND octet_length(document.features) = :width
"""
_SCORES = text(f"""
    SELECT job.document_id, job.project_id, job.task, offer.name AS offer, result.reduction,
           (offer.quality_prior ->> job.task)::float8 / 1e6 AS prior,
           CASE said.kind WHEN 'use' THEN 1.0
                WHEN 'edit' THEN :edit_score WHEN 'ignore' THEN 0.0
                ELSE said.score_ppm / 1e6 END::float8 AS said,
           judged.score_ppm / 1e6::float8 AS judged, judge.name AS judge,
           greatest(result.at, least(said.first_at, judged.first_at)) AS at
    {_SCORED}
    ORDER BY at DESC, job_id DESC
    LIMIT :limit
""")
_DOCUMENTS = text("""
    SELECT document.features, embedding.vector
    FROM document
    LEFT JOIN embedding ON embedding.document_id = document.id AND embedding.model = :model
        AND octet_length(embedding.vector) = :vector_bytes
    WHERE document.id = ANY(CAST(:ids AS bigint[])) ORDER BY document.id
""")
_AT_ONCE = 2_000
"""Documents whose features are on their way at one time."""
_ALL_SCORED = text(f"SELECT count(*) {_SCORED}")

_CALLED = """
    FROM attempt
    LEFT JOIN price ON price.id = attempt.price_id
    JOIN job ON job.id = attempt.job_id
    JOIN document ON document.id = job.document_id
    JOIN offer ON offer.id = attempt.offer_id
    WHERE (attempt.state = 'succeeded' OR attempt.state = 'failed' AND attempt.finish = 'length')
      AND attempt.reduction = 'none' AND job.task <> 'judge'
      AND attempt.input_tokens > 0 AND attempt.output_tokens > 0
      AND attempt.started_at > now() - :age AND octet_length(document.token_stats) = :width
"""
_CALLS = text(f"""
    SELECT document.token_stats, offer.tokenizer, offer.name AS offer, job.task,
           attempt.input_tokens, attempt.output_tokens, attempt.finish = 'length' AS cut,
           attempt.seconds, attempt.cost_nusd, price.input_pusd, price.output_pusd,
           attempt.finished_at AS at
    {_CALLED}
    ORDER BY attempt.started_at DESC, attempt.id
    LIMIT :limit
""")
_ALL_CALLED = text(f"SELECT count(*) {_CALLED}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """n outcomes of answers, the newest first, on d documents.

    Attributes:
        document, project: (n,) int64 ids.
        features: (d, FEATURES) float16, a row for each document, by their ids.
        embedded: (d, w) float16, of an embedding model; zeros where a document has none.
        prior: (n,) the catalog's, NaN where it has none.
        said: (n,) 0 to 1, by people; NaN where none said anything.
        judged: (n,) 0 to 1, by a judge, or NaN; one of the two is there.
        judge: the offer that judged, or None.
        at: since when it could be learned from: the answer was there, and a first word on it.
        older: how many there are beside, all older, that were not read.
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
    older: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """n good calls on whole documents, the newest first; stats are (n, TOKEN_STATS) int32.

    Prices are those that the call was billed by, per token; 0 where they are not known.  *older*
    calls, that were not read, are there beside.
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
    older: int = 0


def read_scores(
    conn: Connection, *, edit_score: float, limit: int, vectors: Vectors = NO_VECTORS
) -> Scores:
    """What was said of answers; one that was edited is worth *edit_score*."""
    those = {"width": 2 * FEATURES}
    rows = conn.execute(_SCORES, those | {"edit_score": edit_score, "limit": limit}).all()
    document = np.array([row.document_id for row in rows], np.int64)
    features, embedded = _described(conn, np.unique(document), vectors)
    return Scores(
        document=document,
        project=np.array([row.project_id for row in rows], np.int64),
        features=features,
        embedded=embedded,
        task=[row.task for row in rows],
        offer=[row.offer for row in rows],
        reduction=[row.reduction for row in rows],
        prior=_or_nan([row.prior for row in rows]),
        said=_or_nan([row.said for row in rows]),
        judged=_or_nan([row.judged for row in rows]),
        judge=[row.judge for row in rows],
        at=[row.at for row in rows],
        older=_beyond(conn, _ALL_SCORED, those, read=len(rows), limit=limit),
    )


def _described(
    conn: Connection, documents: NDArray[np.int64], vectors: Vectors
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """(d, FEATURES) features and (d, w) vectors of *documents*, which come by id."""
    # Each document's once, however many answers it had, and straight into their places: they are
    # most of what is read.
    features = np.zeros((len(documents), FEATURES), "<f2")
    embedded = np.zeros((len(documents), vectors.width), "<f2")
    found = conn.execute(
        _DOCUMENTS,
        {"ids": numbers(documents.tolist()), "model": vectors.model}
        | {"vector_bytes": embedded.itemsize * vectors.width},
        execution_options={"yield_per": _AT_ONCE},
    )
    for place, row in enumerate(found):
        features[place] = np.frombuffer(row.features, "<f2")
        if row.vector is not None:
            embedded[place] = np.frombuffer(row.vector, "<f2")
    return features, embedded


def read_calls(conn: Connection, *, age: Any, limit: int) -> Calls:
    """What providers reported of calls not older than *age* (a timedelta)."""
    those = {"age": age, "width": 4 * TOKEN_STATS}
    rows = conn.execute(_CALLS, those | {"limit": limit}).all()
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
        older=_beyond(conn, _ALL_CALLED, those, read=len(rows), limit=limit),
    )


def _beyond(
    conn: Connection, count: TextClause, those: dict[str, Any], *, read: int, limit: int
) -> int:
    """How many rows there are beside those *read*; counted only where the *limit* was met."""
    return 0 if read < limit else int(conn.execute(count, those).scalar_one()) - read


def _matrix(rows: list[bytes], dtype: str, width: int) -> NDArray[Any]:
    return np.frombuffer(b"".join(rows), dtype).reshape(len(rows), width)


def _or_nan(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
