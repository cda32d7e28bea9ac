"""What a good answer to a job is worth, and what a bad one costs, where the client says so."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE job
            ADD gain_nusd BIGINT,
            ADD loss_nusd BIGINT,
            ADD CONSTRAINT ck_job_worth CHECK (gain_nusd >= 0 AND loss_nusd >= 0)
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE job DROP gain_nusd, DROP loss_nusd")
