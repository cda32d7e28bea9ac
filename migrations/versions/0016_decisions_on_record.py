"""Budgets, offers and prices that are there have a record, as all that come from now on.

Who set them, and what they were before, was never written down; the record says how they were
found, and that they were.
"""

from alembic import op
from sqlalchemy import text

from migrations.records import append_record

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# As whoever sets a budget does: nobody books, or sets one, meanwhile.
ALONE = "SELECT pg_advisory_xact_lock(4120, 2), ensure_partitions(3)"
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


def upgrade() -> None:
    conn = op.get_bind()
    conn.execute(text(ALONE))
    for stream, kind, query in (
        ("budget", "budget", BUDGETS),
        ("catalog", "offer", OFFERS),
        ("catalog", "price", PRICES),
    ):
        for body in conn.execute(text(query)).scalars().all():
            append_record(conn, stream=stream, kind=kind, body=body | {"found": True})


def downgrade() -> None:
    """Records stay; who goes up again has all found anew."""
