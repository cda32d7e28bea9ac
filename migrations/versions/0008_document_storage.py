"""A document's figures are not compressed: they would not get smaller, and intake twice as slow."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of floats that are as good as random pglz saves nothing; to try took half of Postgres's time.
    op.execute("""
        ALTER TABLE document
            ALTER features SET STORAGE EXTERNAL,
            ALTER token_stats SET STORAGE PLAIN
    """)


def downgrade() -> None:
    op.execute("""
        ALTER TABLE document
            ALTER features SET STORAGE EXTENDED,
            ALTER token_stats SET STORAGE EXTENDED
    """)
