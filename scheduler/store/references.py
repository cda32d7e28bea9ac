"""Right answers among the feedback, scored once their jobs are done."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from scheduler.store.bulk import numbers

_UNSCORED = text("""
    SELECT feedback.id, job.task, result.output, feedback.reference
    FROM feedback
    JOIN job ON job.id = feedback.job_id
    JOIN result ON result.job_id = feedback.job_id AND result.status = 'done'
    WHERE feedback.kind = 'reference' AND feedback.scorer IS DISTINCT FROM :scorer
    ORDER BY feedback.id LIMIT :limit
""")

_SCORE = text("""
    UPDATE feedback SET score_ppm = scored.ppm, scorer = :scorer
    FROM unnest(CAST(:ids AS bigint[]), CAST(:scores AS int[])) AS scored (id, ppm)
    WHERE feedback.id = scored.id
""")


class Referred(NamedTuple):
    """A result beside the right answer; *id* is the feedback's."""

    id: int
    task: str
    output: Any
    reference: Any


def unscored(conn: Connection, *, scorer: str, limit: int) -> list[Referred]:
    """References of finished jobs that *scorer* has not scored yet."""
    rows = conn.execute(_UNSCORED, {"scorer": scorer, "limit": limit})
    return [Referred._make(row) for row in rows]


def keep_scores(conn: Connection, scores: Sequence[tuple[int, int]], *, scorer: str) -> None:
    """Keep *scores* (feedback's id, ppm) as made by *scorer*."""
    ids, ppm = numbers(one for one, _ in scores), numbers(score for _, score in scores)
    conn.execute(_SCORE, {"scorer": scorer, "ids": ids, "scores": ppm})
