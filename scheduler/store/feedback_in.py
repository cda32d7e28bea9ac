"""Feedback as it comes in, many in a statement, tied to its jobs by the clients' ids."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from scheduler.store.feedback_records import AS_IT_CAME, prove_feedback
from scheduler.store.staging import stage


class IncomingFeedback(NamedTuple):
    """What a message says of a job's result.

    Attributes:
        at: its message's place in the chunk.
        tenant: the organisation's name.
        key: the client's job id.
        score_ppm: for kind `score`.
        seconds: working time saved.
        reference: for kind `reference`: the right answer, as JSON text.
    """

    at: int
    tenant: str
    key: str
    kind: str
    score_ppm: int | None
    seconds: float | None
    reference: str | None = None


COLUMNS = {
    "at": "int4",
    "tenant": "text",
    "key": "text",
    "kind": "text",
    "score_ppm": "int4",
    "seconds": "float8",
    "reference": "text",
}

_ADD = text(f"""
    INSERT INTO feedback (job_id, kind, score_ppm, seconds, reference, source)
    SELECT j.id, f.kind, f.score_ppm, f.seconds, f.reference::jsonb, :source
    FROM incoming_feedback f
    JOIN scope s ON s.path = f.tenant
    JOIN job j ON j.tenant_id = s.id AND j.key = f.key
    ORDER BY f.at
    RETURNING {AS_IT_CAME}
""")  # noqa: S608 - columns of ours

_ORPHANS = text("""
    SELECT f.at FROM incoming_feedback f
    WHERE NOT EXISTS (
        SELECT FROM scope s JOIN job j ON j.tenant_id = s.id AND j.key = f.key
        WHERE s.path = f.tenant)
    ORDER BY f.at
""")


def add_feedback(
    conn: Connection, feedback: Sequence[IncomingFeedback], *, source: str
) -> list[int]:
    """Add *feedback*; the `at` of what is on a job that is not there, which is left out.

    Its record's stream stays locked until the caller's transaction ends.
    """
    stage(conn, "incoming_feedback", COLUMNS, feedback)
    came = conn.execute(_ADD, {"source": source}).scalars().all()
    orphans = list(conn.execute(_ORPHANS).scalars())
    prove_feedback(conn, came)
    return orphans
