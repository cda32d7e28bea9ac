"""Paid calls as the evidence tells of them, held against the rows of attempts and results.

A record of kind `calls` has many calls, each a list of values in the order that its `facts`
name; one of kind `resolution` says what an unknown call turned out to have cost, and one of kind
`correction` what any call did, whose cost was wrong.
"""

FACTS = {
    "job": "job_id",
    "parcel": "parcel_id",
    "offer": "offer_id",
    "price": "price_id",
    "prompt": "prompt",
    "reduction": "reduction",
    "finish": "finish",
    "model": "served_model",
    "request_id": "request_id",
}
"""What never changes of an ended call: the fact's name, and the attempt's column."""

LATER_FACTS = frozenset({"parcel"})
"""What records of an older program do not have; there it is not compared."""

BILL = {
    "cost_nusd": "cost_nusd",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
}
"""What a resolution may say anew; the cost, a correction as well."""

_NAMES = ("attempt", *FACTS, "state", *BILL, "output_digest")

_PLACES = ", ".join(
    f"max(place) FILTER (WHERE fact = '{name}')::int - 1 AS {name}" for name in _NAMES
)
_VALUES = ", ".join(f"call->>places.{name} AS {name}" for name in _NAMES)
_BILLS = ", ".join(f"said->>'{name}' AS {name}" for name in BILL)

# Materialized: the places are looked up, and the body is parsed, once for each record.  Else the
# planner may do so for each of its calls, and a day takes hours.
_TOLD = f"""
    records AS MATERIALIZED (
        SELECT said->'calls' AS calls, places.*
        FROM (SELECT body::jsonb AS said FROM evidence WHERE kind = 'calls' OFFSET 0) AS parsed
        CROSS JOIN LATERAL (
            SELECT {_PLACES}
            FROM jsonb_array_elements_text(said->'facts') WITH ORDINALITY AS facts (fact, place)
        ) AS places
    ), told AS (
        SELECT {_VALUES} FROM records AS places
        CROSS JOIN LATERAL jsonb_array_elements(places.calls) AS calls (call)
    ), resolved AS (
        SELECT said->>'attempt' AS attempt, {_BILLS}
        FROM (SELECT body::jsonb AS said FROM evidence WHERE kind = 'resolution') AS parsed
    ), corrections AS MATERIALIZED (
        SELECT seq, said->>'attempt' AS attempt, said->>'cost_nusd' AS cost_nusd,
               (said->>'cost_nusd')::numeric - (said->>'cost_before_nusd')::numeric AS more_nusd
        FROM (SELECT seq, body::jsonb AS said FROM evidence WHERE kind = 'correction') AS parsed
    ), corrected AS (
        SELECT DISTINCT ON (attempt) attempt, cost_nusd FROM corrections
        ORDER BY attempt, seq DESC
    )
"""  # noqa: S608 - names of ours


def _differs(column: str, recorded: str, *, is_later: bool = False) -> str:
    """SQL for `column A, recorded as B` where they differ, else NULL."""
    differ = "<>" if is_later else "IS DISTINCT FROM"
    return (
        f"CASE WHEN attempt.{column}::text {differ} {recorded} THEN '{column} is '"
        f" || coalesce(attempt.{column}::text, 'nothing') || ', recorded as '"
        f" || coalesce({recorded}, 'nothing') END"
    )


_WRONG = ", ".join(
    _differs(column, f"told.{fact}", is_later=fact in LATER_FACTS) for fact, column in FACTS.items()
)


def _last_said(fact: str) -> str:
    """SQL for what was last recorded of a call's bill."""
    said = f"CASE WHEN resolved.attempt IS NULL THEN told.{fact} ELSE resolved.{fact} END"
    return f"coalesce(corrected.cost_nusd, {said})" if fact == "cost_nusd" else said


_WRONG_BILL = ", ".join(_differs(column, _last_said(fact)) for fact, column in BILL.items())
_WRONG_STATE = _differs(
    "state",
    "CASE WHEN resolved.attempt IS NULL THEN told.state"
    " WHEN attempt.state IN ('succeeded', 'failed') THEN attempt.state"
    " ELSE 'resolved' END",
)

CALL_RECORDS = f"""
    WITH {_TOLD}, compared AS (
        SELECT coalesce(attempt.id::text, told.attempt, resolved.attempt) AS id,
               CASE WHEN attempt.id IS NULL THEN 'is recorded, and its row is gone'
                    WHEN told.attempt IS NULL
                    THEN CASE WHEN attempt.state <> 'started'
                         THEN 'is ' || attempt.state || ', and no record tells of it' END
                    ELSE nullif(concat_ws('; ', {_WRONG}, {_WRONG_STATE}, {_WRONG_BILL}), '')
               END AS what
        FROM attempt
        FULL JOIN told ON told.attempt = attempt.id::text
        FULL JOIN resolved ON resolved.attempt = coalesce(attempt.id::text, told.attempt)
        LEFT JOIN corrected ON corrected.attempt = attempt.id::text
    )
    SELECT 'attempt ' || id AS where_, what FROM compared
    WHERE what IS NOT NULL
"""  # noqa: S608 - names of ours

# An answer is digested exactly where it is the job's result.
RESULT_RECORDS = f"""
    WITH {_TOLD}, compared AS (
        SELECT coalesce(result.job_id::text, told.job) AS job,
               CASE WHEN result.job_id IS NULL
                    THEN 'its answer is recorded, and is not its result'
                    WHEN told.attempt IS NULL
                    THEN 'its result names a call that no record tells of'
                    WHEN encode(result.digest, 'hex') <> told.output_digest
                         OR result.job_id::text IS DISTINCT FROM told.job
                         OR result.offer_id::text IS DISTINCT FROM told.offer
                         OR result.reduction IS DISTINCT FROM told.reduction
                    THEN 'its result is not the one that was recorded' END AS what
        FROM (SELECT * FROM result WHERE attempt_id IS NOT NULL) AS result
        FULL JOIN (SELECT * FROM told WHERE output_digest IS NOT NULL) AS told
             ON told.attempt = result.attempt_id::text
    )
    SELECT 'job ' || job AS where_, what FROM compared WHERE what IS NOT NULL
"""  # noqa: S608 - names of ours

# What a bill said after the result was there is the job's, and not in what its result says.
RESULT_BILLS = f"""
    WITH {_TOLD}, later AS (
        SELECT attempt, cost_nusd::numeric AS nusd FROM resolved
      UNION ALL
        SELECT attempt, more_nusd FROM corrections
    ), late AS (
        SELECT attempt.job_id, sum(greatest(later.nusd, 0)) AS more,
               sum(greatest(-later.nusd, 0)) AS less
        FROM later JOIN attempt ON attempt.id::text = later.attempt GROUP BY attempt.job_id
    )
    SELECT 'job ' || job.id AS where_,
           'its result says ' || result.cost_nusd || ' nUSD, organisation ' || result.tenant_id
           || '; the job says ' || job.spent_nusd || ', organisation ' || job.tenant_id AS what
    FROM result JOIN job ON job.id = result.job_id LEFT JOIN late ON late.job_id = job.id
    WHERE result.tenant_id <> job.tenant_id
       OR result.cost_nusd > job.spent_nusd + coalesce(late.less, 0)
       OR result.cost_nusd < job.spent_nusd - coalesce(late.more, 0)
"""  # noqa: S608 - names of ours

# A plan that ends a job has the reason in its decision; a worker digests it into its record.
FAILURE_RECORDS = """
    WITH told AS (
        SELECT (failure->>0)::bigint AS job_id, failure->>1 AS digest
        FROM (SELECT body::jsonb AS said FROM evidence WHERE kind = 'calls' OFFSET 0) AS parsed
        CROSS JOIN LATERAL jsonb_array_elements(said->'failed') AS failures (failure)
    ), failed AS (
        SELECT result.job_id, result.reason, result.digest, decision.deferral_reason
        FROM result JOIN job ON job.id = result.job_id
        LEFT JOIN decision ON decision.plan_id = job.plan_id AND decision.job_id = job.id
        WHERE result.status = 'failed'
    )
    SELECT 'job ' || coalesce(failed.job_id, told.job_id) AS where_,
           CASE WHEN failed.job_id IS NULL THEN 'is recorded as failed, and is not'
           ELSE 'did not fail for the reason that was recorded' END AS what
    FROM failed FULL JOIN told ON told.job_id = failed.job_id
    WHERE failed.job_id IS NULL OR failed.reason <> failed.deferral_reason
       OR encode(failed.digest, 'hex') <> told.digest
"""
