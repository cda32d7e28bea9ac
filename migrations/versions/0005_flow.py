"""Positions, dead letters and the outbox."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE dead_letter (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at timestamptz DEFAULT now() NOT NULL,
    source TEXT NOT NULL,
    topic TEXT,
    partition INTEGER,
    message_offset BIGINT,
    key TEXT,
    reason TEXT NOT NULL,
    payload BYTEA NOT NULL,
    CONSTRAINT pk_dead_letter PRIMARY KEY (id),
    CONSTRAINT uq_dead_letter_topic UNIQUE (topic, partition, message_offset)
);

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at timestamptz DEFAULT now() NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    batch_no BIGINT,
    CONSTRAINT pk_outbox PRIMARY KEY (id)
);

CREATE INDEX ix_outbox_batch ON outbox (batch_no) WHERE batch_no IS NOT NULL;

CREATE TABLE position (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    CONSTRAINT pk_position PRIMARY KEY (topic, partition)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE position, outbox, dead_letter")
