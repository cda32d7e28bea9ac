"""What the evidence keeps of feedback: every row that estimators may learn from, as it came in."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from scheduler.store.evidence import append

STREAM = "feedback"
KIND = "feedback"

# A reference is scored later, and anew by another scorer: its score is not what came in.
AS_IT_CAME = """
    jsonb_build_object(
        'feedback', feedback.id, 'job', feedback.job_id, 'kind', feedback.kind,
        'score_ppm', CASE feedback.kind WHEN 'score' THEN feedback.score_ppm END,
        'seconds', feedback.seconds, 'source', feedback.source, 'judge', feedback.judge_offer_id,
        'at_us', (extract(epoch FROM feedback.at) * 1000000)::bigint,
        'reference', encode(sha256(convert_to(feedback.reference::text, 'UTF8')), 'hex'))
"""

FEEDBACK_RECORDS = f"""
    WITH records AS MATERIALIZED (
        SELECT at, body::jsonb->'came' AS came FROM evidence WHERE kind = '{KIND}'
    ), told AS (
        SELECT DISTINCT ON (id) id, one FROM (
            SELECT at, (one->>'feedback')::bigint AS id, one
            FROM records CROSS JOIN LATERAL jsonb_array_elements(came) AS each (one)) AS every
        ORDER BY id, at DESC
    ), compared AS (
        SELECT coalesce(feedback.id, told.id) AS id,
               CASE WHEN feedback.id IS NULL THEN 'is recorded, and its row is gone'
                    WHEN told.id IS NULL THEN 'was put in: no record tells of it'
                    WHEN told.one <> {AS_IT_CAME} THEN (
                        SELECT 'is not what was recorded of it: ' || string_agg(key, ', ')
                        FROM jsonb_each({AS_IT_CAME}) WHERE told.one->key <> value) END AS what
        FROM feedback FULL JOIN told ON told.id = feedback.id
    )
    SELECT 'feedback ' || id AS where_, what FROM compared WHERE what IS NOT NULL
"""  # noqa: S608 - names of ours


def prove_feedback(
    conn: Connection, came: Sequence[dict[str, Any]], *, stream: str = STREAM
) -> None:
    """Chain a record of the rows that *came* (each `AS_IT_CAME`), in the caller's transaction.

    The stream's head stays locked until that ends, so this is called last in it.
    """
    if came:
        append(conn, stream=stream, kind=KIND, bodies=[{"came": came}])
