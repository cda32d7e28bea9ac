"""Budgets, offers and prices that are there have a record, as all that come from now on.

Who set them, and what they were before, was never written down; the record says how they were
found, and that they were.
"""

import hashlib
import json
from datetime import UTC
from typing import Any

from alembic import op
from sqlalchemy import Connection, text

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# As whoever sets a budget does: nobody books, or sets one, meanwhile.
ALONE = "SELECT pg_advisory_xact_lock(4120, 2), ensure_partitions(3)"
HEAD = """
    INSERT INTO evidence_head (stream, seq, digest)
    VALUES (:stream, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING
"""
STAND = """
    SELECT seq, digest, clock_timestamp() AS at FROM evidence_head
    WHERE stream = :stream FOR UPDATE
"""
BUDGETS = """
    SELECT jsonb_build_object(
        'budget', budget.id, 'scope', path, 'starts_on', starts_on, 'ends_on', ends_on,
        'limit_nusd', limit_nusd, 'limit_before_nusd', NULL, 'spent_nusd', spent_nusd,
        'reserved_nusd', reserved_nusd, 'by', NULL, 'login', session_user)
    FROM budget JOIN scope ON scope.id = scope_id ORDER BY budget.id
"""
OFFERS = "SELECT to_jsonb(offer) - 'updated_at' FROM offer ORDER BY id"
PRICES = """
    SELECT jsonb_build_object(
        'id', price.id, 'offer_id', price.offer_id, 'name', offer.name,
        'input_pusd', input_pusd, 'output_pusd', output_pusd, 'request_pusd', request_pusd,
        'source', source, 'digest', encode(digest, 'hex'),
        'effective_from_us', (extract(epoch FROM effective_from) * 1000000)::bigint)
    FROM price JOIN offer ON offer.id = price.offer_id ORDER BY price.id
"""
RECORD = """
    INSERT INTO evidence (stream, seq, at, kind, body, digest)
    VALUES (:stream, :seq, :at, :kind, :body, :digest)
"""
MOVE = "UPDATE evidence_head SET seq = :seq, digest = :digest WHERE stream = :stream"


def upgrade() -> None:
    conn = op.get_bind()
    conn.execute(text(ALONE))
    for stream, kind, query in (
        ("budget", "budget", BUDGETS),
        ("catalog", "offer", OFFERS),
        ("catalog", "price", PRICES),
    ):
        for body in conn.execute(text(query)).scalars().all():
            _record(conn, stream=stream, kind=kind, body=body | {"found": True})


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
