"""What the evidence keeps of the catalog: every change of an offer, and every price."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from scheduler.store.evidence import append

STREAM = "catalog"

# All that the row says but when it was last looked at; `found` is of the schema's migration alone.
OFFER_SAYS = "to_jsonb(offer) - 'updated_at'"
PRICE_SAYS = """
    jsonb_build_object(
        'id', price.id, 'offer_id', price.offer_id, 'name', offer.name,
        'input_pusd', input_pusd, 'output_pusd', output_pusd, 'request_pusd', request_pusd,
        'source', source, 'digest', encode(digest, 'hex'),
        'effective_from_us', (extract(epoch FROM effective_from) * 1000000)::bigint)
"""

_OFFERS = text(
    f"SELECT {OFFER_SAYS} FROM offer WHERE id = ANY(CAST(:ids AS int[])) ORDER BY id"  # noqa: S608
)
_PRICES = text(f"""
    SELECT {PRICE_SAYS} FROM price JOIN offer ON offer.id = price.offer_id
    WHERE price.id = ANY(CAST(:ids AS int[])) ORDER BY price.id
""")  # noqa: S608 - columns of ours


def prove_catalog(conn: Connection, *, offers: Sequence[int], prices: Sequence[int]) -> None:
    """Chain a record of each of these *offers*, as they are now, and of each new price."""
    for kind, query, ids in (("offer", _OFFERS, offers), ("price", _PRICES, prices)):
        if ids:
            bodies = conn.execute(query, {"ids": list(ids)}).scalars().all()
            append(conn, stream=STREAM, kind=kind, bodies=bodies)
