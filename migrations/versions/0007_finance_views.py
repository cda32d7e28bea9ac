"""What finance reads from the database directly."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

VIEWS = """
-- One row per budget: spent + reserved + free = limit, to the nano-dollar.
CREATE VIEW finance_budget AS
SELECT scope.path AS scope, scope.kind, budget.starts_on, budget.ends_on,
       limit_nusd, spent_nusd, reserved_nusd,
       limit_nusd - spent_nusd - reserved_nusd AS free_nusd, overrun_nusd,
       limit_nusd::numeric / 1000000000 AS limit_usd,
       spent_nusd::numeric / 1000000000 AS spent_usd,
       reserved_nusd::numeric / 1000000000 AS reserved_usd,
       (limit_nusd - spent_nusd - reserved_nusd)::numeric / 1000000000 AS free_usd
FROM budget JOIN scope ON scope.id = budget.scope_id;

-- What the ledger says each project did, by the day whose budgets bear it and by offer.
CREATE VIEW finance_spend AS
SELECT organisation.path AS organisation, team.path AS team, project.path AS project,
       ledger.booked_on, provider.name AS provider, offer.name AS offer,
       coalesce(sum(amount_nusd) FILTER (WHERE ledger.kind = 'posting'), 0)::bigint AS used_nusd,
       coalesce(sum(amount_nusd) FILTER (WHERE ledger.kind = 'waste'), 0)::bigint AS waste_nusd,
       coalesce(sum(amount_nusd) FILTER (WHERE ledger.kind = 'overrun'), 0)::bigint
           AS overrun_nusd,
       -- One call may have two entries: what was set aside for it, and what went beyond.
       count(DISTINCT ledger.attempt_id) AS calls
FROM ledger
JOIN scope project ON project.id = ledger.project_id
JOIN scope team ON team.id = project.parent_id
JOIN scope organisation ON organisation.id = team.parent_id
LEFT JOIN offer ON offer.id = ledger.offer_id
LEFT JOIN provider ON provider.id = offer.provider_id
WHERE ledger.kind IN ('posting', 'waste', 'overrun')
GROUP BY 1, 2, 3, 4, 5, 6;

-- Calls whose outcome or price is not known; their reservation is kept.
CREATE VIEW finance_unknown AS
SELECT attempt.id AS attempt_id, attempt.started_at, scope.path AS project, job.key AS job,
       offer.name AS offer, attempt.reserved_nusd, attempt.error
FROM attempt
JOIN job ON job.id = attempt.job_id
JOIN scope ON scope.id = job.project_id
JOIN offer ON offer.id = attempt.offer_id
WHERE attempt.state = 'unknown';

GRANT SELECT ON finance_budget, finance_spend, finance_unknown TO apportion_finance, apportion_app;
"""


def upgrade() -> None:
    op.execute(VIEWS)


def downgrade() -> None:
    op.execute("DROP VIEW finance_unknown, finance_spend, finance_budget")
