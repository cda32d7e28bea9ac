"""The estimators in use as the evidence tells of them, held against their rows.

A record of kind `learn` that says `in_use` put a version in the place of the one before; one that
says `retired` took it away.
"""

ESTIMATOR_RECORDS = """
    WITH told AS (
        SELECT DISTINCT ON (said->>'kind') said->>'kind' AS kind,
               said->'figures'->>'digest' AS digest, said ? 'retired' AS is_retired
        FROM (SELECT seq, body::jsonb AS said FROM evidence WHERE kind = 'learn' OFFSET 0) AS each
        WHERE said->'in_use' = 'true'::jsonb OR said ? 'retired'
        ORDER BY said->>'kind', seq DESC
    ), kept AS (
        SELECT kind, encode(digest, 'hex') AS digest FROM estimator WHERE is_active
    )
    SELECT 'estimator of ' || coalesce(kept.kind, told.kind, 'nothing') AS where_,
           CASE WHEN kept.kind IS NULL THEN 'is recorded as in use, and is not'
                WHEN told.kind IS NULL OR told.is_retired
                THEN 'is in use, and no record tells of it'
           ELSE 'is in use with the digest ' || kept.digest || ', recorded as ' || told.digest
           END AS what
    FROM kept FULL JOIN told ON told.kind = kept.kind
    WHERE CASE WHEN kept.kind IS NULL THEN NOT told.is_retired
               ELSE told.kind IS NULL OR told.is_retired OR told.digest <> kept.digest END
  UNION ALL
    SELECT 'estimator ' || id || ' of ' || kind, 'its body is not the one of its digest'
    FROM estimator WHERE sha256(body) <> digest
"""
