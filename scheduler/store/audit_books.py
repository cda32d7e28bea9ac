"""Where two tables do not say the same, found by the database itself: one query for each pair."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from scheduler.domain.ledger import BILLED_BY, RESERVED_BY, USED_BY, WASTE_BY
from scheduler.store.audit_budgets import BUDGET_RECORDS
from scheduler.store.audit_calls import (
    CALL_RECORDS,
    FAILURE_RECORDS,
    RESULT_BILLS,
    RESULT_RECORDS,
)
from scheduler.store.audit_catalog import CATALOG_RECORDS
from scheduler.store.audit_learning import ESTIMATOR_RECORDS
from scheduler.store.feedback_records import FEEDBACK_RECORDS
from scheduler.store.job_records import ASKED, all_of
from scheduler.store.ledger_sums import of_kinds, total

FAULTS_MAX = 20
"""Of one check, so many are named; the rest is like them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One place where two tables do not say the same; *where* names the row."""

    where: str
    what: str


# In all of them: one row for each disagreement, as `where_` and `what`.
_JOBS = f"""
    WITH booked AS (
        SELECT job_id, min(project_id) AS project, max(project_id) AS other_project,
               min(tenant_id) AS tenant, max(tenant_id) AS other_tenant,
               {total(RESERVED_BY)} AS reserved, {total(BILLED_BY)} AS spent
        FROM ledger GROUP BY job_id
    )
    SELECT 'job ' || coalesce(job.id, booked.job_id) AS where_,
           CASE WHEN job.id IS NULL THEN 'has ledger entries, and does not exist'
                WHEN job.project_id <> booked.project OR job.project_id <> booked.other_project
                THEN 'is of project ' || job.project_id || '; ledger entries of it are another''s'
                WHEN job.tenant_id <> booked.tenant OR job.tenant_id <> booked.other_tenant
                THEN 'is of organisation ' || job.tenant_id
                     || '; ledger entries of it are another''s'
           ELSE 'has ' || job.reserved_nusd || ' nUSD set aside and ' || job.spent_nusd
                || ' spent; the ledger says ' || coalesce(booked.reserved, 0) || ' and '
                || coalesce(booked.spent, 0) END AS what
    FROM job FULL JOIN booked ON booked.job_id = job.id
    WHERE job.id IS NULL OR job.reserved_nusd <> coalesce(booked.reserved, 0)
       OR job.spent_nusd <> coalesce(booked.spent, 0)
       OR job.project_id <> booked.project OR job.project_id <> booked.other_project
       OR job.tenant_id <> booked.tenant OR job.tenant_id <> booked.other_tenant
"""  # noqa: S608 - kinds of ours

# What is free of a job's money is of the job's day; what is kept for a call, of the call's.
_DAYS = f"""
    WITH booked AS (
        SELECT job_id, booked_on, {total(RESERVED_BY)} AS nusd
        FROM ledger GROUP BY job_id, booked_on
    ), kept AS (
        SELECT job_id, booked_on, sum(nusd) AS nusd FROM (
            SELECT id AS job_id, booked_on, reserved_nusd - held_nusd AS nusd FROM job
            WHERE reserved_nusd > held_nusd
          UNION ALL
            SELECT job_id, booked_on, reserved_nusd FROM attempt WHERE state = 'unknown') AS each
        GROUP BY job_id, booked_on
    )
    SELECT 'job ' || coalesce(kept.job_id, booked.job_id) AS where_,
           'has ' || coalesce(kept.nusd, 0) || ' nUSD set aside on '
           || coalesce(kept.booked_on, booked.booked_on) || '; the ledger says '
           || coalesce(booked.nusd, 0) AS what
    FROM booked FULL JOIN kept
         ON kept.job_id = booked.job_id AND kept.booked_on = booked.booked_on
    WHERE coalesce(booked.nusd, 0) <> coalesce(kept.nusd, 0)
  UNION ALL
    SELECT 'job ' || job_id, 'has ledger entries of plan ' || plan_id
           || ', which decided nothing for it'
    FROM (SELECT DISTINCT job_id, plan_id FROM ledger WHERE plan_id IS NOT NULL) AS named
    WHERE NOT EXISTS (
        SELECT FROM decision
        WHERE decision.plan_id = named.plan_id AND decision.job_id = named.job_id)
"""  # noqa: S608 - kinds of ours

_HOLDS = """
    WITH unknown AS (
        SELECT job_id, sum(reserved_nusd) AS held FROM attempt
        WHERE state = 'unknown' GROUP BY job_id
    )
    SELECT 'job ' || coalesce(job.id, unknown.job_id) AS where_,
           'keeps ' || coalesce(job.held_nusd, 0) || ' nUSD for calls of unknown outcome; those'
           || ' calls say ' || coalesce(unknown.held, 0) AS what
    FROM (SELECT id, held_nusd FROM job WHERE held_nusd <> 0) AS job
    FULL JOIN unknown ON unknown.job_id = job.id
    WHERE coalesce(job.held_nusd, 0) <> coalesce(unknown.held, 0)
"""

# What was used is posted, what was not is waste; the job, offer and day are the call's.
_CALLS = f"""
    WITH posted AS (
        SELECT attempt_id, {total(BILLED_BY)} AS amount,
               count(*) FILTER (WHERE {of_kinds(USED_BY)}) AS postings,
               count(*) FILTER (WHERE {of_kinds(WASTE_BY)}) AS wastes,
               array_agg(DISTINCT ROW(job_id, offer_id, booked_on)::text) AS whose
        FROM ledger WHERE attempt_id IS NOT NULL GROUP BY attempt_id
    )
    SELECT 'attempt ' || coalesce(attempt.id, posted.attempt_id) AS where_,
           CASE WHEN attempt.id IS NULL THEN 'has ledger entries, and does not exist'
                WHEN coalesce(attempt.cost_nusd, 0) <> coalesce(posted.amount, 0)
                THEN 'cost ' || coalesce(attempt.cost_nusd::text, 'an unknown amount of')
                     || ' nUSD; the ledger says ' || coalesce(posted.amount, 0)
                WHEN posted.whose <> ARRAY[
                    ROW(attempt.job_id, attempt.offer_id, attempt.booked_on)::text]
                THEN 'is booked for another job, offer or day'
           ELSE 'is ' || attempt.state || '; the ledger books it as '
                || CASE WHEN wastes > 0 THEN 'waste' ELSE 'used' END END AS what
    FROM attempt FULL JOIN posted ON posted.attempt_id = attempt.id
    WHERE attempt.id IS NULL OR coalesce(attempt.cost_nusd, 0) <> coalesce(posted.amount, 0)
       OR posted.whose <> ARRAY[ROW(attempt.job_id, attempt.offer_id, attempt.booked_on)::text]
       OR (wastes > 0 AND attempt.state = 'succeeded')
       OR (postings > 0 AND attempt.state <> 'succeeded')
"""  # noqa: S608 - kinds of ours

_PLANS = """
    WITH decided AS (
        SELECT plan_id, count(*) AS jobs, count(offer_id) AS planned,
               coalesce(sum(reserved_nusd), 0) AS reserved
        FROM decision GROUP BY plan_id
    )
    SELECT 'plan ' || plan.id AS where_,
           'says ' || plan.jobs || ' jobs, ' || plan.planned || ' planned, '
           || plan.reserved_nusd || ' nUSD set aside; its decisions say '
           || coalesce(decided.jobs, 0) || ', ' || coalesce(decided.planned, 0) || ', '
           || coalesce(decided.reserved, 0) AS what
    FROM plan LEFT JOIN decided ON decided.plan_id = plan.id
    WHERE plan.jobs <> coalesce(decided.jobs, 0) OR plan.planned <> coalesce(decided.planned, 0)
       OR plan.reserved_nusd <> coalesce(decided.reserved, 0)
"""

# What an older program did not record is not compared.
_PLAN_RECORDS = """
    WITH told AS (
        SELECT (said->>'plan')::bigint AS plan, said FROM (
            SELECT body::jsonb AS said FROM evidence WHERE kind = 'plan') AS parsed
    ), kept AS (
        SELECT id, jsonb_build_object(
            'decisions_digest', encode(decisions_digest, 'hex'), 'window', window_kind,
            'jobs', jobs, 'planned', planned, 'deferred', deferred, 'cost_nusd', cost_nusd,
            'reserved_nusd', reserved_nusd, 'seed', seed, 'inputs', inputs, 'value', value,
            'bound', bound, 'gap', gap, 'passes', passes, 'solve_s', solve_s, 'rows', rows
        ) AS says FROM plan
    ), compared AS (
        SELECT coalesce(kept.id, told.plan) AS id,
               CASE WHEN kept.id IS NULL THEN 'is recorded, and its row is gone'
                    WHEN told.plan IS NULL THEN 'was put in: no record tells of it'
               ELSE (SELECT 'is not what was recorded of it: ' || string_agg(key, ', ')
                     FROM jsonb_each(says) WHERE said ? key AND said->key <> value) END AS what
        FROM kept FULL JOIN told ON told.plan = kept.id
    )
    SELECT 'plan ' || id AS where_, what FROM compared WHERE what IS NOT NULL
"""

# What an older program did not digest is not compared.
_ASKED = f"""
    WITH asked AS (
        SELECT decision.plan_id, {all_of(ASKED)} AS now, {all_of("asked_digest")} AS noted,
               count(*) > count(asked_digest) AS is_old
        FROM decision LEFT JOIN job ON job.id = decision.job_id GROUP BY decision.plan_id
    ), wrong AS MATERIALIZED (
        SELECT plan.id, is_old OR noted IS DISTINCT FROM inputs->>'jobs' AS is_as_a_whole
        FROM plan LEFT JOIN asked ON asked.plan_id = plan.id
        WHERE inputs->>'jobs' <> coalesce(asked.now, '')
           OR (NOT is_old AND inputs->>'jobs' <> noted)
    )
    SELECT 'plan ' || id AS where_,
           'what was asked of its jobs, or of which documents, is not what it was made for' AS what
    FROM wrong WHERE is_as_a_whole
  UNION ALL
    SELECT 'job ' || decision.job_id, CASE WHEN job.id IS NULL
           THEN 'was planned by plan ' || decision.plan_id || ', and is gone'
           ELSE 'what was asked of it, or of which document, is not what plan '
                || decision.plan_id || ' was made for' END
    FROM wrong JOIN decision ON decision.plan_id = wrong.id
    LEFT JOIN job ON job.id = decision.job_id
    WHERE NOT is_as_a_whole AND asked_digest <> {ASKED}
"""  # noqa: S608 - columns of ours

_RESULTS = """
    SELECT 'job ' || coalesce(job.id, result.job_id) AS where_,
           CASE WHEN result.job_id IS NULL THEN 'is ' || job.state || ', and its result is gone'
           ELSE 'is ' || coalesce(job.state, 'not there') || ', and has a result that is '
                || result.status END AS what
    FROM (SELECT id, state FROM job WHERE state IN ('done', 'failed')) AS job
    FULL JOIN result ON result.job_id = job.id
    WHERE job.state IS DISTINCT FROM result.status
"""

_DOCUMENTS = """
    SELECT 'document ' || id AS where_, 'its text is not the one that was taken in' AS what
    FROM document WHERE body IS NOT NULL AND sha256(convert_to(body, 'UTF8')) <> digest
  UNION ALL
    SELECT 'job ' || id, 'its document is gone' FROM job
    WHERE NOT EXISTS (SELECT FROM document WHERE document.id = job.document_id)
"""

BOOKS = {
    "budgets against their records": BUDGET_RECORDS,
    "offers and prices against their records": CATALOG_RECORDS,
    "feedback against its records": FEEDBACK_RECORDS,
    "estimators against their records": ESTIMATOR_RECORDS,
    "plans against their records": _PLAN_RECORDS,
    "plans against their decisions": _PLANS,
    "plans against what was asked of their jobs": _ASKED,
    "calls against their records": CALL_RECORDS,
    "results against the calls' records": RESULT_RECORDS,
    "results against what was billed": RESULT_BILLS,
    "failures against their records": FAILURE_RECORDS,
    "jobs against their results": _RESULTS,
    "documents against their digests": _DOCUMENTS,
    "the ledger against the jobs": _JOBS,
    "the ledger against the days and plans": _DAYS,
    "the ledger against the calls": _CALLS,
    "unknown calls against the jobs": _HOLDS,
}
"""Checks of one table against another, by what they check."""


def disagreements(conn: Connection, check: str) -> list[Disagreement]:
    """Where the tables of *check* (one of `BOOKS`) disagree; at most `FAULTS_MAX` places."""
    # Materialized: a plan made for the first few of the rows would go through all the others in
    # a nested loop, and there are none in an honest database.
    query = text(f"""
        WITH found AS MATERIALIZED ({check})
        SELECT where_, what FROM found ORDER BY length(where_), where_ LIMIT {FAULTS_MAX}
    """)  # noqa: S608 - queries of ours
    return [Disagreement(where=row.where_, what=row.what) for row in conn.execute(query)]
