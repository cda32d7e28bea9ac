"""Judgings: jobs of the service's own, and the scores that come of them."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE job
    DROP CONSTRAINT ck_job_task,
    ADD CONSTRAINT ck_job_task CHECK (
        task IN ('summarize', 'extract', 'classify', 'answer', 'judge')
    );
CREATE INDEX ix_job_judge ON job (received_at) WHERE task = 'judge';
CREATE INDEX ix_job_judge_queued ON job (project_id) WHERE task = 'judge' AND state = 'queued';
CREATE INDEX ix_result_at ON result USING brin (at);
ALTER TABLE feedback
    ADD judge_offer_id INTEGER,
    ADD CONSTRAINT fk_feedback_judge_offer_id FOREIGN KEY (judge_offer_id) REFERENCES offer (id);
"""

# Jobs are not deleted, so whoever goes back must have made no judgings.
DOWN = """
ALTER TABLE feedback DROP judge_offer_id;
DROP INDEX ix_result_at, ix_job_judge_queued, ix_job_judge;
ALTER TABLE job
    DROP CONSTRAINT ck_job_task,
    ADD CONSTRAINT ck_job_task CHECK (task IN ('summarize', 'extract', 'classify', 'answer'));
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
