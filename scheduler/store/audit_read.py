"""What an audit reads: every record in order, and where the books do not agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, TextClause, text

from scheduler.domain.evidence import Record
from scheduler.store.bulk import driver

ROWS_AT_ONCE = 5_000
FAULTS_MAX = 20
"""Of one check, so many are named; the rest is like them."""

_RECORDS = "SELECT stream, seq, at, kind, body, digest FROM evidence ORDER BY stream, seq, at"


def all_records(conn: Connection) -> Iterator[tuple[Record, bytes]]:
    """Every record of every stream with its stored digest, by stream and number."""
    # Past SQLAlchemy: its rows cost more than hashing them does.
    with driver(conn).cursor(name="audit", binary=True) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        for stream, seq, at, kind, body, digest in cursor.execute(_RECORDS):
            yield Record(stream=stream, seq=seq, at=_text(at), kind=kind, body=body), digest


def digest_at(conn: Connection, *, stream: str, seq: int) -> bytes | None:
    """The stored digest (32 bytes) of one record; None where there is no such record."""
    found = conn.execute(_DIGEST, {"stream": stream, "seq": seq}).first()
    return None if found is None else bytes(found.digest)


_DIGEST = text("SELECT digest FROM evidence WHERE stream = :stream AND seq = :seq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One place where two tables do not say the same; *where* names the row."""

    where: str
    what: str


# In all of them: one row for each disagreement, as `where_` and `what`.
_JOBS = text("""
    WITH booked AS (
        SELECT job_id,
               sum(CASE kind WHEN 'reservation' THEN amount_nusd WHEN 'overrun' THEN 0
                   ELSE -amount_nusd END) AS reserved,
               coalesce(sum(amount_nusd) FILTER (WHERE kind IN ('posting', 'waste', 'overrun')), 0)
                   AS spent
        FROM ledger GROUP BY job_id
    )
    SELECT 'job ' || coalesce(job.id, booked.job_id) AS where_,
           CASE WHEN job.id IS NULL THEN 'has ledger entries, and does not exist'
           ELSE 'has ' || job.reserved_nusd || ' nUSD set aside and ' || job.spent_nusd
                || ' spent; the ledger says ' || coalesce(booked.reserved, 0) || ' and '
                || coalesce(booked.spent, 0) END AS what
    FROM job FULL JOIN booked ON booked.job_id = job.id
    WHERE job.id IS NULL OR job.reserved_nusd <> coalesce(booked.reserved, 0)
       OR job.spent_nusd <> coalesce(booked.spent, 0)
    ORDER BY coalesce(job.id, booked.job_id) LIMIT :limit
""")

_HOLDS = text("""
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
    ORDER BY coalesce(job.id, unknown.job_id) LIMIT :limit
""")

_CALLS = text("""
    WITH posted AS (
        SELECT attempt_id, sum(amount_nusd) AS amount FROM ledger
        WHERE kind IN ('posting', 'waste', 'overrun') GROUP BY attempt_id
    )
    SELECT 'attempt ' || coalesce(attempt.id, posted.attempt_id) AS where_,
           CASE WHEN attempt.id IS NULL THEN 'has ledger entries, and does not exist'
           ELSE 'cost ' || coalesce(attempt.cost_nusd::text, 'an unknown amount of')
                || ' nUSD; the ledger says ' || coalesce(posted.amount, 0) END AS what
    FROM attempt FULL JOIN posted ON posted.attempt_id = attempt.id
    WHERE attempt.id IS NULL OR coalesce(attempt.cost_nusd, 0) <> coalesce(posted.amount, 0)
    ORDER BY coalesce(attempt.started_at, '-infinity'), 1 LIMIT :limit
""")

_PLANS = text("""
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
    ORDER BY plan.id LIMIT :limit
""")

BOOKS = {
    "the ledger against the jobs": _JOBS,
    "unknown calls against the jobs": _HOLDS,
    "the ledger against the calls": _CALLS,
    "plans against their decisions": _PLANS,
}
"""Checks of one table against another, by what they check."""


def disagreements(conn: Connection, check: TextClause) -> list[Disagreement]:
    """Where the tables of *check* (one of `BOOKS`) disagree; at most `FAULTS_MAX` places."""
    rows = conn.execute(check, {"limit": FAULTS_MAX})
    return [Disagreement(where=row.where_, what=row.what) for row in rows]


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
