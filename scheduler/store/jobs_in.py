"""Jobs as they come in: many in a statement, each id once for a tenant."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from scheduler.store.bulk import numbers, texts
from scheduler.store.documents import Key
from scheduler.store.scopes import Scope
from scheduler.store.staging import copy_binary, jsonb, text_array, unless_added_meanwhile


class IncomingJob(NamedTuple):
    """A job as its message says it; a tuple, since thousands are made a second.

    Attributes:
        at: its message's place in the chunk.
        scope: organisation/team/project.
        digest: SHA-256 (32 bytes) of all that was asked, the document included.
        document: its document's digest.
        params, tags: JSON text.
        residency: regions; none where any will do.
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
    residency: tuple[str, ...]
    data_class: str
    run_when: str
    gain_nusd: int | None = None
    loss_nusd: int | None = None


COLUMNS = {
    "tenant_id": "int4",
    "project_id": "int4",
    "document_id": "int8",
    "source": "text",
    "key": "text",
    "digest": "bytea",
    "task": "text",
    "params": "bytea",
    "tags": "bytea",
    "priority": "int2",
    "deadline": "timestamptz",
    "min_quality_ppm": "int4",
    "max_cost_nusd": "int8",
    "residency": "bytea",
    "data_class": "text",
    "run_when": "text",
    "gain_nusd": "int8",
    "loss_nusd": "int8",
}

_KNOWN = text("""
    SELECT known.tenant_id, known.key, known.digest
    FROM unnest(CAST(:tenants AS int[]), CAST(:keys AS text[])) AS asked (tenant_id, key)
    JOIN job known USING (tenant_id, key)
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
    asked = {(projects[job.scope].tenant_id, job.key): job for job in jobs}

    def add() -> tuple[int, list[int]]:
        known = _known(conn, asked)
        rows = [
            _row(job, projects[job.scope], documents[(key[0], job.document)], source)
            for key, job in asked.items()
            if key not in known
        ]
        copy_binary(conn, "job", COLUMNS, rows)
        others = [asked[key].at for key, digest in known.items() if digest != asked[key].digest]
        return len(rows), sorted(others)

    return unless_added_meanwhile(conn, add)


def _known(
    conn: Connection, asked: Mapping[tuple[int, str], IncomingJob]
) -> dict[tuple[int, str], bytes]:
    """The digests of those jobs that are there, by tenant and key."""
    found = conn.execute(
        _KNOWN,
        {"tenants": numbers(tenant for tenant, _ in asked), "keys": texts(key for _, key in asked)},
    )
    return {(tenant, key): digest for tenant, key, digest in found}


def _row(job: IncomingJob, project: Scope, document_id: int, source: str) -> tuple[Any, ...]:
    return (
        project.tenant_id,
        project.id,
        document_id,
        source,
        job.key,
        job.digest,
        job.task,
        jsonb(job.params),
        jsonb(job.tags),
        job.priority,
        job.deadline,
        job.min_quality_ppm,
        job.max_cost_nusd,
        text_array(job.residency),
        job.data_class,
        job.run_when,
        job.gain_nusd,
        job.loss_nusd,
    )


_QUEUED = text("SELECT count(*) FROM (SELECT FROM job WHERE state = 'queued' LIMIT :limit) queued")


def count_queued(conn: Connection, *, limit: int) -> int:
    """How many jobs are queued, counted up to *limit*."""
    queued: int = conn.execute(_QUEUED, {"limit": limit}).scalar_one()
    return queued
