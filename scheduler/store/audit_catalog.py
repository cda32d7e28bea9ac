"""Offers and prices as the evidence tells of them, held against their rows."""

from scheduler.store.catalog_records import OFFER_SAYS, PRICE_SAYS

# Of each, the last record says how it stands.  What an older program did not record is not
# compared.
CATALOG_RECORDS = f"""
    WITH told AS (
        SELECT DISTINCT ON (kind, said->>'id') kind, said->>'id' AS id, said
        FROM (SELECT seq, kind, body::jsonb AS said FROM evidence
              WHERE kind IN ('offer', 'price') OFFSET 0) AS each
        ORDER BY kind, said->>'id', seq DESC
    ), kept AS (
        SELECT 'offer' AS kind, id::text, {OFFER_SAYS} AS says FROM offer
      UNION ALL
        SELECT 'price', price.id::text, {PRICE_SAYS}
        FROM price JOIN offer ON offer.id = price.offer_id
    ), compared AS (
        SELECT kind, id, coalesce(said, says)->>'name' AS name,
               CASE WHEN says IS NULL THEN 'is recorded, and its row is gone'
                    WHEN said IS NULL THEN 'was put in: no record tells of it'
               ELSE (SELECT string_agg(
                         key || ' is ' || coalesce(says->>key, 'nothing') || ', recorded as '
                         || coalesce(said->>key, 'nothing'), '; ' ORDER BY key)
                     FROM jsonb_each(says) WHERE said ? key AND said->key <> value)
               END AS what
        FROM kept FULL JOIN told USING (kind, id)
    )
    SELECT CASE kind WHEN 'price' THEN concat('price ', id, ' of ', name)
           ELSE concat('offer ', name) END AS where_, what
    FROM compared WHERE what IS NOT NULL
"""  # noqa: S608 - columns of ours
