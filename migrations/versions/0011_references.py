"""Right answers among the feedback, and what results score by them."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE feedback
    ADD reference JSONB,
    ADD scorer TEXT,
    DROP CONSTRAINT ck_feedback_kind,
    DROP CONSTRAINT ck_feedback_score,
    ADD CONSTRAINT ck_feedback_kind CHECK (
        kind IN ('use', 'edit', 'ignore', 'score', 'reference')
    ),
    ADD CONSTRAINT ck_feedback_score CHECK (
        CASE kind WHEN 'score' THEN score_ppm IS NOT NULL
        WHEN 'reference' THEN (score_ppm IS NULL) = (scorer IS NULL)
        ELSE score_ppm IS NULL END
    ),
    ADD CONSTRAINT ck_feedback_reference CHECK (
        (kind = 'reference') = (reference IS NOT NULL)
    );
CREATE INDEX ix_feedback_reference ON feedback (scorer) WHERE kind = 'reference';
"""

DOWN = """
DROP INDEX ix_feedback_reference;
DELETE FROM feedback WHERE kind = 'reference';
ALTER TABLE feedback
    DROP CONSTRAINT ck_feedback_reference,
    DROP CONSTRAINT ck_feedback_score,
    DROP CONSTRAINT ck_feedback_kind,
    DROP scorer,
    DROP reference,
    ADD CONSTRAINT ck_feedback_kind CHECK (kind IN ('use', 'edit', 'ignore', 'score')),
    ADD CONSTRAINT ck_feedback_score CHECK ((kind = 'score') = (score_ppm IS NOT NULL));
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
