"""Feedback that is there has a record, as all that comes from now on: plans are learned from it.

How it came to be there was never written down; the record says how it was found, and that it was.
"""

from alembic import op
from sqlalchemy import text

from migrations.records import append_record

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# Nobody adds any meanwhile.
ALONE = "LOCK TABLE feedback IN SHARE ROW EXCLUSIVE MODE"
MONTHS = "SELECT ensure_partitions(3)"
AT_ONCE = 5_000
FEEDBACK = """
    SELECT jsonb_build_object(
        'feedback', id, 'job', job_id, 'kind', kind,
        'score_ppm', CASE kind WHEN 'score' THEN score_ppm END,
        'seconds', seconds, 'source', source, 'judge', judge_offer_id,
        'at_us', (extract(epoch FROM at) * 1000000)::bigint,
        'reference', encode(sha256(convert_to(reference::text, 'UTF8')), 'hex'))
    FROM feedback WHERE id > :above ORDER BY id LIMIT :limit
"""


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
        append_record(conn, stream="feedback", kind="feedback", body={"came": came, "found": True})


def downgrade() -> None:
    """Records stay; who goes up again has all found anew."""
