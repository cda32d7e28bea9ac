"""Jobs as they come in: many in a statement, each id once for a tenant."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from scheduler.store.documents import Key
from scheduler.store.scopes import Scope
from scheduler.store.staging import stage


class IncomingJob(NamedTuple):
    """A job as its message says it; a tuple, since thousands are made a second.

    Attributes:
        at: its message's place in the chunk.
        scope: organisation/team/project.
        digest: SHA-256 (32 bytes) of all that was asked, the document included.
        document: its document's digest.
        params, tags: JSON text.
        residency: an array as Postgres writes it.
        gain_nusd, loss_nusd: None where the policy's figures hold.
    """

    at: int
    scope: str
    key: str
    digest: bytes
    document: bytes
    task: str
    params: str
    tags: str
    priority: int
    deadline: datetime | None
    min_quality_ppm: int
    max_cost_nusd: int | None
    residency: str
    data_class: str
    run_when: str
    gain_nusd: int | None = None
    loss_nusd: int | None = None


COLUMNS = {
    "at": "int4",
    "tenant_id": "int4",
    "project_id": "int4",
    "key": "text",
    "digest": "bytea",
    "document_id": "int8",
    "task": "text",
    "params": "text",
    "tags": "text",
    "priority": "int2",
    "deadline": "timestamptz",
    "min_quality_ppm": "int4",
    "max_cost_nusd": "int8",
    "residency": "text",
    "data_class": "text",
    "run_when": "text",
    "gain_nusd": "int8",
    "loss_nusd": "int8",
}

_ADD = text("""
    WITH added AS (
        INSERT INTO job (
            tenant_id, project_id, key, digest, document_id, task, params, tags, priority,
            deadline, min_quality_ppm, max_cost_nusd, residency, data_class, run_when, gain_nusd,
            loss_nusd, source)
        SELECT
            j.tenant_id, j.project_id, j.key, j.digest, j.document_id, j.task, j.params::jsonb,
            j.tags::jsonb, j.priority, j.deadline, j.min_quality_ppm, j.max_cost_nusd,
            j.residency::text[], j.data_class, j.run_when, j.gain_nusd, j.loss_nusd, :source
        FROM incoming_job j ORDER BY j.at
        ON CONFLICT (tenant_id, key) DO NOTHING
        RETURNING 1)
    SELECT count(*) FROM added
""")

_OTHERS = text("""
    SELECT j.at FROM incoming_job j
    JOIN job known ON known.tenant_id = j.tenant_id AND known.key = j.key
    WHERE known.digest <> j.digest
""")


def add_jobs(
    conn: Connection,
    jobs: Sequence[IncomingJob],
    *,
    projects: Mapping[str, Scope],
    documents: Mapping[Key, int],
    source: str,
) -> tuple[int, list[int]]:
    """Add those of *jobs* that are new; how many, and the `at` of those refused.

    Refused are jobs whose id is known with another digest; the same digest is the same job.
    Their scopes are among *projects*, *documents* has their documents' ids, and no two of them
    have the same id.
    """
    ids = {path: (scope.tenant_id, scope.id) for path, scope in projects.items()}
    rows = (_row(job, *ids[job.scope], documents) for job in jobs)
    stage(conn, "incoming_job", COLUMNS, rows)
    added: int = conn.execute(_ADD, {"source": source}).scalar_one()
    if added == len(jobs):
        return added, []
    return added, sorted(conn.execute(_OTHERS).scalars())


def _row(
    job: IncomingJob, tenant_id: int, project_id: int, documents: Mapping[Key, int]
) -> tuple[Any, ...]:
    document_id = documents[(tenant_id, job.document)]
    return (job.at, tenant_id, project_id, job.key, job.digest, document_id, *job[5:])


_QUEUED = text("SELECT count(*) FROM (SELECT FROM job WHERE state = 'queued' LIMIT :limit) queued")


def count_queued(conn: Connection, *, limit: int) -> int:
    """How many jobs are queued, counted up to *limit*."""
    queued: int = conn.execute(_QUEUED, {"limit": limit}).scalar_one()
    return queued
