"""Budgets, the ledger and the audit trail."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE ledger (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at timestamptz DEFAULT now() NOT NULL,
    kind TEXT NOT NULL,
    amount_nusd BIGINT NOT NULL,
    job_id BIGINT NOT NULL,
    tenant_id INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    booked_on DATE NOT NULL,
    plan_id BIGINT,
    attempt_id UUID,
    offer_id INTEGER,
    CONSTRAINT pk_ledger PRIMARY KEY (id, at),
    CONSTRAINT ck_ledger_kind CHECK (
        kind IN ('reservation', 'release', 'posting', 'waste', 'overrun')
    ),
    CONSTRAINT ck_ledger_amount CHECK (amount_nusd > 0),
    CONSTRAINT ck_ledger_attempt CHECK (
        kind IN ('reservation', 'release') OR attempt_id IS NOT NULL
    )
) PARTITION BY RANGE (at);

CREATE INDEX ix_ledger_booked ON ledger (booked_on, project_id);

CREATE INDEX ix_ledger_job ON ledger (job_id);

CREATE TABLE budget (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    scope_id INTEGER NOT NULL,
    starts_on DATE NOT NULL,
    ends_on DATE NOT NULL,
    limit_nusd BIGINT NOT NULL,
    reserved_nusd BIGINT DEFAULT '0' NOT NULL,
    spent_nusd BIGINT DEFAULT '0' NOT NULL,
    overrun_nusd BIGINT DEFAULT '0' NOT NULL,
    set_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_budget PRIMARY KEY (id),
    CONSTRAINT uq_budget_scope_id UNIQUE (scope_id, starts_on, ends_on),
    CONSTRAINT ck_budget_period CHECK (starts_on < ends_on),
    CONSTRAINT ck_budget_sign CHECK (reserved_nusd >= 0 AND spent_nusd >= 0 AND overrun_nusd >= 0),
    CONSTRAINT ck_budget_free CHECK (spent_nusd + reserved_nusd <= limit_nusd),
    CONSTRAINT fk_budget_scope_id FOREIGN KEY(scope_id) REFERENCES scope (id)
);

CREATE TABLE evidence (
    stream TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    digest BYTEA NOT NULL,
    CONSTRAINT pk_evidence PRIMARY KEY (stream, seq, at),
    CONSTRAINT ck_evidence_record CHECK (seq > 0 AND octet_length(digest) = 32)
) PARTITION BY RANGE (at);

CREATE TABLE evidence_head (
    stream TEXT NOT NULL,
    seq BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    CONSTRAINT pk_evidence_head PRIMARY KEY (stream)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE evidence_head, evidence, budget, ledger")
