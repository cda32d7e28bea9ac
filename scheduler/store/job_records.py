"""What the evidence keeps of jobs: in a plan's record, a digest of what was asked of them all."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

# What was asked, and of which document; nothing of it changes once a job is taken in.  What a
# client wrote himself (its id, labels, question, tags) is in the job's own digest alone.
ASKED = """
    sha256(convert_to(jsonb_build_array(
        job.id, tenant_id, project_id, encode(job.digest, 'hex'),
        (SELECT encode(document.digest, 'hex') FROM document WHERE document.id = document_id),
        task, priority, (extract(epoch FROM deadline) * 1000000)::bigint, min_quality_ppm,
        max_cost_nusd, gain_nusd, loss_nusd, residency, data_class
    )::text, 'UTF8'))
"""
ALL_ASKED = f"encode(sha256(coalesce(string_agg({ASKED}, ''::bytea ORDER BY job.id), '')), 'hex')"

_DIGEST = text(
    f"SELECT {ALL_ASKED} FROM job WHERE id = ANY(CAST(:ids AS bigint[]))"  # noqa: S608
)


def asked_digest(conn: Connection, job_ids: Sequence[int]) -> str:
    """SHA-256 (hex) of what was asked of these jobs: of a digest for each, by their ids."""
    return str(conn.execute(_DIGEST, {"ids": list(job_ids)}).scalar_one())
