"""Each worker's share of the calls that an offer takes at a time.

Dividing by the number of workers let each of them make one call at least: four made four calls
at once to a server that takes one.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE share (
    offer_id INTEGER NOT NULL,
    worker TEXT NOT NULL,
    calls INTEGER NOT NULL,
    since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_share PRIMARY KEY (offer_id, worker),
    CONSTRAINT fk_share_offer_id FOREIGN KEY (offer_id) REFERENCES offer (id),
    CONSTRAINT ck_share_calls CHECK (calls >= 0)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON share TO apportion_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE share")
