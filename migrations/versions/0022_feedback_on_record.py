"""Feedback that is there has a record, as all that comes from now on: plans are learned from it.

How it came to be there was never written down; the record says how it was found, and that it was.
"""

import hashlib
import json
from datetime import UTC
from typing import Any

from alembic import op
from sqlalchemy import Connection, text

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# Nobody adds any meanwhile.
ALONE = "LOCK TABLE feedback IN SHARE ROW EXCLUSIVE MODE"
MONTHS = "SELECT ensure_partitions(3)"
AT_ONCE = 5_000
HEAD = """
    INSERT INTO evidence_head (stream, seq, digest)
    VALUES (:stream, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING
"""
STAND = """
    SELECT seq, digest, clock_timestamp() AS at FROM evidence_head
    WHERE stream = :stream FOR UPDATE
"""
FEEDBACK = """
    SELECT jsonb_build_object(
        'feedback', id, 'job', job_id, 'kind', kind,
        'score_ppm', CASE kind WHEN 'score' THEN score_ppm END,
        'seconds', seconds, 'source', source, 'judge', judge_offer_id,
        'at_us', (extract(epoch FROM at) * 1000000)::bigint,
        'reference', encode(sha256(convert_to(reference::text, 'UTF8')), 'hex'))
    FROM feedback WHERE id > :above ORDER BY id LIMIT :limit
"""
RECORD = """
    INSERT INTO evidence (stream, seq, at, kind, body, digest)
    VALUES (:stream, :seq, :at, :kind, :body, :digest)
"""
MOVE = "UPDATE evidence_head SET seq = :seq, digest = :digest WHERE stream = :stream"


def upgrade() -> None:
    conn = op.get_bind()
    for statement in (ALONE, MONTHS):
        conn.execute(text(statement))
    above = 0
    while True:
        asked = {"above": above, "limit": AT_ONCE}
        came = conn.execute(text(FEEDBACK), asked).scalars().all()
        if not came:
            return
        above = came[-1]["feedback"]
        _record(conn, stream="feedback", kind="feedback", body={"came": came, "found": True})


def downgrade() -> None:
    """Records stay; who goes up again has all found anew."""


def _record(conn: Connection, *, stream: str, kind: str, body: dict[str, Any]) -> None:
    # Spelled out here, and not by the program's own functions: those may change, and what an
    # upgrade from this schema writes must not.
    conn.execute(text(HEAD), {"stream": stream})
    stand = conn.execute(text(STAND), {"stream": stream}).one()
    spelled = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    at = stand.at.astimezone(UTC).isoformat(timespec="microseconds")
    head = f"{stream}\n{stand.seq + 1}\n{at}\n{kind}"
    digest = hashlib.sha256()
    for part in (bytes(stand.digest), head.encode(), spelled.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    after = {"stream": stream, "seq": stand.seq + 1, "digest": digest.digest()}
    conn.execute(text(RECORD), {"at": stand.at, "kind": kind, "body": spelled} | after)
    conn.execute(text(MOVE), after)
