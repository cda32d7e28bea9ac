"""Jobs that need not wait any longer: what held them back has changed."""

from datetime import datetime

from sqlalchemy import Connection, text

# Seen from the plan that put the job off: a budget of its scopes was set or has begun since,
# or an offer was changed.  A job that is planned again has a later plan, and is left alone.
_WAKE = text("""
    WITH changed AS (
        SELECT scope_id, greatest(set_at, starts_on AT TIME ZONE 'UTC') AS at
        FROM budget WHERE starts_on <= :today AND ends_on > :today
    ), offers AS (
        SELECT max(updated_at) AS at FROM offer WHERE is_on
    )
    UPDATE job SET not_before = :now
    FROM plan, scope project, scope team
    WHERE job.state = 'queued' AND job.not_before > :now
      AND plan.id = job.plan_id
      AND project.id = job.project_id AND team.id = project.parent_id
      AND (plan.at < (SELECT at FROM offers)
           OR EXISTS (SELECT FROM changed
                      WHERE changed.scope_id IN (project.id, team.id, team.parent_id)
                        AND changed.at > plan.at))
""")

_LATEST = text("""
    SELECT greatest(
        (SELECT max(greatest(set_at, starts_on AT TIME ZONE 'UTC')) FROM budget
         WHERE starts_on <= :today AND ends_on > :today),
        (SELECT max(updated_at) FROM offer WHERE is_on)
    )
""")

_BRING_FORWARD = text("""
    UPDATE job SET run_when = 'now'
    WHERE state = 'queued' AND run_when = 'night' AND deadline < :night
""")


def latest_change(conn: Connection, *, now: datetime) -> datetime | None:
    """When a budget or an offer last changed in a way that may help a waiting job."""
    latest: datetime | None = conn.execute(_LATEST, {"today": now.date()}).scalar_one()
    return latest


def wake(conn: Connection, *, now: datetime) -> int:
    """Let the jobs be planned at once that such a change may help; how many.

    A job for the night still waits for a night.
    """
    return conn.execute(_WAKE, {"now": now, "today": now.date()}).rowcount


def bring_forward(conn: Connection, *, night: datetime) -> int:
    """Give jobs for the night to the day whose deadline is before the next *night*; how many."""
    return conn.execute(_BRING_FORWARD, {"night": night}).rowcount
