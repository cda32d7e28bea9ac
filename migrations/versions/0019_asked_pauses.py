"""Whether an offer rests because it asked for that, which is not told as failures."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE breaker ADD COLUMN is_asked BOOLEAN NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE breaker DROP COLUMN is_asked")
