"""What is kept of what was asked of jobs: a digest for each, and one of all of them for a plan."""

import hashlib
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
_BYTES = 32
# One value: a row for each would take longer than the digests themselves.
_DIGESTS = text(f"""
    SELECT coalesce(string_agg({ASKED}, ''::bytea ORDER BY job.id), '')
    FROM job WHERE id = ANY(CAST(:ids AS bigint[]))
""")  # noqa: S608 - columns of ours


def asked_digests(conn: Connection, job_ids: Sequence[int]) -> list[bytes]:
    """SHA-256 of what was asked of each of these jobs, by their ids."""
    every = bytes(conn.execute(_DIGESTS, {"ids": list(job_ids)}).scalar_one())
    return [every[at : at + _BYTES] for at in range(0, len(every), _BYTES)]


def all_asked(digests: Sequence[bytes]) -> str:
    """SHA-256 (hex) of *digests*, as a plan's record has it."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def all_of(digest: str) -> str:
    """SQL for what `all_asked` gives for the *digest* of each job in a group, by their ids."""
    return f"encode(sha256(coalesce(string_agg({digest}, ''::bytea ORDER BY job_id), '')), 'hex')"
