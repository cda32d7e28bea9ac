"""Budgets as the evidence tells of them, held against their rows.

A record of kind `budget` is one setting of one budget: its limit, and what that was before.  Where
`found` is true nobody set it then: the schema's migration found it so, when records began.
"""

# Of every budget the last record says how it stands; of two that follow, the later one's `before`
# is the earlier one's limit, or the limit was changed in between with no record.
BUDGET_RECORDS = """
    WITH told AS (
        SELECT seq, said->>'budget' AS id, said,
               lag(said->>'limit_nusd') OVER in_order AS recorded_before,
               lead(seq) OVER in_order IS NULL AS is_last
        FROM (SELECT seq, body::jsonb AS said FROM evidence WHERE kind = 'budget' OFFSET 0) AS each
        WINDOW in_order AS (PARTITION BY said->>'budget' ORDER BY seq)
    ), kept AS (
        SELECT budget.id::text, jsonb_build_object(
            'scope', scope.path, 'starts_on', starts_on, 'ends_on', ends_on,
            'limit_nusd', limit_nusd) AS says
        FROM budget JOIN scope ON scope.id = budget.scope_id
    ), compared AS (
        SELECT coalesce(said, says) AS named,
               CASE WHEN kept.id IS NULL THEN 'is recorded, and its row is gone'
                    WHEN told.id IS NULL THEN 'was put in: no record tells of it'
               ELSE (SELECT string_agg(
                         key || ' is ' || value || ', recorded as '
                         || coalesce(said->>key, 'nothing'), '; ' ORDER BY key)
                     FROM jsonb_each_text(says) WHERE said->>key IS DISTINCT FROM value)
               END AS what
        FROM kept FULL JOIN (SELECT * FROM told WHERE is_last) AS told ON told.id = kept.id
      UNION ALL
        SELECT said,
               'its limit was ' || coalesce(said->>'limit_before_nusd', 'nothing')
               || ' nUSD before record ' || seq || ' set it; the records before say '
               || coalesce(recorded_before, 'nothing')
        FROM told
        WHERE said->>'limit_before_nusd' IS DISTINCT FROM recorded_before
          AND said->'found' IS DISTINCT FROM 'true'::jsonb
    )
    SELECT concat('budget ', named->>'scope', ' from ', named->>'starts_on') AS where_, what
    FROM compared WHERE what IS NOT NULL
"""
