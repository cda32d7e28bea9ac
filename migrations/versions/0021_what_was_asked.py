"""What was asked of a job, as a digest beside its decision: an altered limit names its job."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Decisions of an older program have none: what was asked then is known for a plan as a whole.
    op.execute("ALTER TABLE decision ADD COLUMN asked_digest BYTEA")


def downgrade() -> None:
    op.execute("ALTER TABLE decision DROP COLUMN asked_digest")
