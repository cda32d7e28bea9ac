"""What was posted too high is taken back by entries of its own; finance sees each correction."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

KINDS = """
ALTER TABLE ledger DROP CONSTRAINT ck_ledger_kind;
ALTER TABLE ledger ADD CONSTRAINT ck_ledger_kind CHECK (kind IN ({kinds}));
"""
BEFORE = "'reservation', 'release', 'posting', 'waste', 'overrun'"
SINCE = f"{BEFORE}, 'posting_credit', 'waste_credit', 'overrun_credit'"

SPEND = """
CREATE OR REPLACE VIEW finance_spend AS
SELECT organisation.path AS organisation, team.path AS team, project.path AS project,
       ledger.booked_on, provider.name AS provider, offer.name AS offer,
       {used} AS used_nusd, {waste} AS waste_nusd, {overrun} AS overrun_nusd,
       -- One call may have more entries: what was set aside for it, what went beyond, corrections.
       count(DISTINCT ledger.attempt_id) AS calls
FROM ledger
JOIN scope project ON project.id = ledger.project_id
JOIN scope team ON team.id = project.parent_id
JOIN scope organisation ON organisation.id = team.parent_id
LEFT JOIN offer ON offer.id = ledger.offer_id
LEFT JOIN provider ON provider.id = offer.provider_id
WHERE ledger.kind NOT IN ('reservation', 'release')
GROUP BY 1, 2, 3, 4, 5, 6;
"""
SUM = "coalesce(sum(amount_nusd) FILTER (WHERE ledger.kind = '{kind}'), 0)"
FIGURES = {"used": "posting", "waste": "waste", "overrun": "overrun"}

# The records are what tells a correction from a first bill.
CORRECTIONS = """
CREATE VIEW finance_correction AS
SELECT told.at AS corrected_at, attempt.id AS attempt_id, attempt.booked_on, scope.path AS project,
       job.key AS job, provider.name AS provider, offer.name AS offer,
       (said->>'cost_before_nusd')::bigint AS cost_before_nusd,
       (said->>'cost_nusd')::bigint AS cost_nusd,
       said->>'by' AS corrected_by, said->>'why' AS why
FROM (SELECT at, body::jsonb AS said FROM evidence WHERE kind = 'correction') AS told
JOIN attempt ON attempt.id = (said->>'attempt')::uuid
JOIN job ON job.id = attempt.job_id
JOIN scope ON scope.id = job.project_id
JOIN offer ON offer.id = attempt.offer_id
JOIN provider ON provider.id = offer.provider_id;

GRANT SELECT ON finance_correction TO apportion_finance, apportion_app;
"""


def upgrade() -> None:
    op.execute(KINDS.format(kinds=SINCE))
    sums = {
        name: f"({SUM.format(kind=kind)} - {SUM.format(kind=f'{kind}_credit')})::bigint"
        for name, kind in FIGURES.items()
    }
    op.execute(SPEND.format(**sums))
    op.execute(CORRECTIONS)


def downgrade() -> None:
    op.execute("DROP VIEW finance_correction")
    op.execute(
        SPEND.format(**{name: f"{SUM.format(kind=kind)}::bigint" for name, kind in FIGURES.items()})
    )
    op.execute(KINDS.format(kinds=BEFORE))
