"""Judgings in Postgres: made from finished jobs, and their scores put where people's are."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from scheduler.domain.job import OWN_JOB_IDS
from scheduler.domain.money import nusd_from_usd
from scheduler.domain.policy import JudgePolicy
from scheduler.store.bulk import numbers
from scheduler.store.feedback_records import AS_IT_CAME

SCORE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"score": {"type": "number", "minimum": 0, "maximum": 1}},
    "required": ["score"],
    "additionalProperties": False,
}
"""What a judge answers."""

SOURCE: Final = "judge"

# The sample goes by the digest of the job's id: drawn again, it is the same.  A judging carries
# what is judged, so that its worker needs no other table; document, residency and data class are
# the job's, so whoever may not see the one may not see the other.
_ADD = text("""
    WITH waiting AS (
        -- Those lack the money, or a judge that may have them: no more until that has changed.
        SELECT DISTINCT project_id FROM job
        WHERE task = 'judge' AND state = 'queued' AND deferrals > 0
    ), today AS (
        SELECT count(*) AS begun FROM job
        WHERE task = 'judge' AND received_at >= date_trunc('day', CAST(:now AS timestamptz), 'UTC')
    ), added AS (
        INSERT INTO job (
            tenant_id, project_id, key, digest, document_id, task, params, priority, deadline,
            residency, data_class, gain_nusd, loss_nusd, received_at, not_before, source)
        SELECT job.tenant_id, payer.id, :own_ids || 'judge:' || job.id,
               sha256(result.digest || convert_to('judge ' || job.id, 'UTF8')),
               job.document_id, 'judge',
               jsonb_build_object('schema', CAST(:schema AS jsonb), 'judged', jsonb_build_object(
                   'job', job.id, 'task', job.task, 'request', job.params,
                   'answer', result.output,
                   'offer', CASE WHEN :own_answers THEN 0 ELSE result.offer_id END)),
               :priority, CAST(:now AS timestamptz) + make_interval(secs => :within_s),
               job.residency, job.data_class, :worth_nusd, 0, :now, :now, :source
        FROM result
        JOIN job ON job.id = result.job_id
        JOIN scope project ON project.id = job.project_id
        JOIN scope payer ON payer.kind = 'project' AND payer.path = CASE :scope
            WHEN '' THEN project.path ELSE split_part(project.path, '/', 1) || '/' || :scope END
        WHERE result.at >= :since AND result.status = 'done'
          AND job.task = ANY(CAST(:tasks AS text[]))
          AND ('x' || encode(substring(sha256(convert_to(job.key, 'UTF8')) FOR 4), 'hex')
               )::bit(32)::bigint < :share_ppm * 4294967296 / 1000000
          AND payer.id NOT IN (SELECT project_id FROM waiting)
          AND EXISTS (
              SELECT FROM offer judge WHERE judge.is_on AND 'judge' = ANY(judge.tasks)
                                        AND (:own_answers OR judge.id <> result.offer_id))
          AND NOT EXISTS (
              SELECT FROM job known WHERE known.tenant_id = job.tenant_id
                                      AND known.key = :own_ids || 'judge:' || job.id)
        ORDER BY result.at, job.id
        LIMIT greatest(:per_day_max - (SELECT begun FROM today), 0)
        ON CONFLICT (tenant_id, key) DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM added
""")

_SCORE = text(f"""
    INSERT INTO feedback (job_id, kind, score_ppm, source, judge_offer_id)
    SELECT job_id, 'score', score_ppm, :source, offer_id
    FROM unnest(CAST(:jobs AS bigint[]), CAST(:scores AS int[]), CAST(:offers AS int[]))
         AS judged (job_id, score_ppm, offer_id)
    RETURNING {AS_IT_CAME}
""")  # noqa: S608 - columns of ours

_JUDGES = text("SELECT count(*) FROM offer WHERE is_on AND 'judge' = ANY(tasks)")


class Judgement(NamedTuple):
    """What the offer *offer_id* says of the answer to the job *job_id*."""

    job_id: int
    score_ppm: int
    offer_id: int


def add_judgings(conn: Connection, *, policy: JudgePolicy, since: datetime, now: datetime) -> int:
    """Queue a judging for each job of the sample that finished since *since*; how many are new."""
    added: int = conn.execute(
        _ADD,
        {
            "now": now,
            "since": since,
            "own_ids": OWN_JOB_IDS,
            "schema": json.dumps(SCORE_SCHEMA),
            "own_answers": policy.own_answers,
            "priority": policy.priority,
            "within_s": policy.within_s,
            "worth_nusd": nusd_from_usd(policy.worth_usd),
            "source": SOURCE,
            "scope": policy.scope,
            "tasks": list(policy.tasks),
            "share_ppm": policy.share_ppm,
            "per_day_max": policy.per_day_max,
        },
    ).scalar_one()
    return added


def add_judgements(conn: Connection, said: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Put *said* among the feedback, as a judge's; what `prove_feedback` is to have of it."""
    if not said:
        return []
    came = conn.execute(
        _SCORE,
        {
            "source": SOURCE,
            "jobs": numbers(one.job_id for one in said),
            "scores": numbers(one.score_ppm for one in said),
            "offers": numbers(one.offer_id for one in said),
        },
    )
    return list(came.scalars())


def count_judges(conn: Connection) -> int:
    """How many offers that are on may judge."""
    return int(conn.execute(_JUDGES).scalar_one())
