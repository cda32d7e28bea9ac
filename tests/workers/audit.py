"""Whether the books are right, whatever happened: asked at the end of every scene."""

from sqlalchemy import Connection, text

from scheduler.compliance.verification import verify

OF_PLANS = ("decisions against their plans' digests", "plans against their records")
"""Checks of what these tests make up."""

# What the ledger says of each job, beside what the job says of itself.
_JOBS = text("""
    SELECT job.id, job.state, job.reserved_nusd, job.held_nusd, job.spent_nusd,
           coalesce(booked.reserved, 0) AS ledger_reserved,
           coalesce(booked.spent, 0) AS ledger_spent,
           coalesce(calls.held, 0) AS calls_held, coalesce(calls.cost, 0) AS calls_cost,
           coalesce(calls.open, 0) AS calls_open
    FROM job
    LEFT JOIN (
        SELECT job_id,
               sum(CASE kind WHEN 'reservation' THEN amount_nusd WHEN 'overrun' THEN 0
                        ELSE -amount_nusd END) AS reserved,
               sum(amount_nusd) FILTER (WHERE kind IN ('posting', 'waste', 'overrun')) AS spent
        FROM ledger GROUP BY job_id
    ) AS booked ON booked.job_id = job.id
    LEFT JOIN (
        SELECT job_id, sum(reserved_nusd) FILTER (WHERE state = 'unknown') AS held,
               sum(cost_nusd) AS cost, count(*) FILTER (WHERE state = 'started') AS open
        FROM attempt GROUP BY job_id
    ) AS calls ON calls.job_id = job.id
""")
_BUDGETS = text("""
    SELECT budget.id, budget.reserved_nusd, budget.spent_nusd, budget.overrun_nusd,
           coalesce(sum(CASE ledger.kind WHEN 'reservation' THEN amount_nusd WHEN 'overrun'
                        THEN 0 ELSE -amount_nusd END), 0) AS reserved,
           coalesce(sum(amount_nusd) FILTER (WHERE ledger.kind IN ('posting', 'waste')), 0)
               AS spent,
           coalesce(sum(amount_nusd) FILTER (WHERE ledger.kind = 'overrun'), 0) AS overrun
    FROM budget
    LEFT JOIN (ledger JOIN scope project ON project.id = ledger.project_id
               JOIN scope team ON team.id = project.parent_id)
      ON budget.scope_id IN (project.id, team.id, team.parent_id)
     AND booked_on >= starts_on AND booked_on < ends_on
    GROUP BY budget.id
""")
_POSTED = text("""
    SELECT attempt.id, attempt.cost_nusd, coalesce(sum(amount_nusd), 0) AS posted
    FROM attempt LEFT JOIN ledger
      ON ledger.attempt_id = attempt.id AND ledger.kind IN ('posting', 'waste', 'overrun')
    GROUP BY attempt.id, attempt.started_at, attempt.cost_nusd
    HAVING coalesce(attempt.cost_nusd, 0) <> coalesce(sum(amount_nusd), 0)
""")
_UNPUBLISHED = text("""
    SELECT job.key, job.state, count(outbox.id) AS events, count(DISTINCT result.job_id) AS results
    FROM job LEFT JOIN outbox ON outbox.key = job.key
    LEFT JOIN result ON result.job_id = job.id
    GROUP BY job.id
    -- Of judgings nobody is told.
    HAVING (job.state IN ('done', 'failed') AND job.task <> 'judge') <> (count(outbox.id) = 1)
        OR count(outbox.id) > 1
        OR (job.state IN ('done', 'failed')) <> (count(DISTINCT result.job_id) = 1)
""")


def assert_books_are_right(conn: Connection, *, all_over: bool = True) -> None:
    """Jobs, attempts, ledger, budgets, results and evidence agree; *all_over*: nothing is open."""
    for row in conn.execute(_JOBS):
        assert row.reserved_nusd == row.ledger_reserved, row
        assert row.spent_nusd == row.ledger_spent == row.calls_cost, row
        assert row.held_nusd == row.calls_held, row
        if all_over or row.state != "planned":
            assert row.calls_open == 0, row
            assert row.state == "planned" or row.reserved_nusd == row.held_nusd, row
    for row in conn.execute(_BUDGETS):
        assert row.reserved_nusd == row.reserved, row
        assert row.spent_nusd == row.spent, row
        assert row.overrun_nusd == row.overrun, row
    assert conn.execute(_POSTED).all() == []
    assert conn.execute(_UNPUBLISHED).all() == []
    wrong = [one for one in verify(conn).findings if one.check not in OF_PLANS]
    assert not wrong, wrong


def count(conn: Connection, table: str, where: str = "true") -> int:
    found: int = conn.execute(text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar_one()
    return found


def total_nusd(conn: Connection, kind: str) -> int:
    """What the ledger's entries of that *kind* add up to."""
    found: int = conn.execute(
        text("SELECT coalesce(sum(amount_nusd), 0)::bigint FROM ledger WHERE kind = :kind"),
        {"kind": kind},
    ).scalar_one()
    return found


def job_states(conn: Connection) -> dict[str, int]:
    rows = conn.execute(text("SELECT state, count(*) AS jobs FROM job GROUP BY state"))
    return {row.state: row.jobs for row in rows}
