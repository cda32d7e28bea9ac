"""Estimators, plans, parcels and attempts."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE estimator (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    digest BYTEA NOT NULL,
    body BYTEA NOT NULL,
    figures JSONB DEFAULT '{}' NOT NULL,
    made_at timestamptz DEFAULT now() NOT NULL,
    is_active BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_estimator PRIMARY KEY (id),
    CONSTRAINT ck_estimator_kind CHECK (kind IN ('quality', 'tokens', 'latency')),
    CONSTRAINT uq_estimator_digest UNIQUE (digest)
);

CREATE UNIQUE INDEX uq_estimator_active ON estimator (kind) WHERE is_active;

CREATE TABLE plan (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at timestamptz DEFAULT now() NOT NULL,
    jobs INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    deferred INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    window_kind TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    bound DOUBLE PRECISION NOT NULL,
    gap DOUBLE PRECISION NOT NULL,
    solve_s DOUBLE PRECISION NOT NULL,
    seed BIGINT NOT NULL,
    cost_nusd BIGINT NOT NULL,
    reserved_nusd BIGINT NOT NULL,
    rows JSONB NOT NULL,
    inputs JSONB NOT NULL,
    decisions_digest BYTEA NOT NULL,
    CONSTRAINT pk_plan PRIMARY KEY (id),
    CONSTRAINT ck_plan_window_kind CHECK (window_kind IN ('continuous', 'night', 'asked')),
    CONSTRAINT ck_plan_jobs CHECK (planned + deferred = jobs),
    CONSTRAINT ck_plan_money CHECK (cost_nusd >= 0 AND reserved_nusd >= 0)
);

CREATE TABLE decision (
    plan_id BIGINT NOT NULL,
    job_id BIGINT NOT NULL,
    offer_id INTEGER,
    price_id INTEGER,
    reduction TEXT,
    cost_nusd BIGINT,
    reserved_nusd BIGINT,
    quality_ppm INTEGER,
    quality_low_ppm INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    output_limit INTEGER,
    alternatives JSONB DEFAULT '[]' NOT NULL,
    deferral_reason TEXT,
    CONSTRAINT pk_decision PRIMARY KEY (plan_id, job_id),
    CONSTRAINT ck_decision_deferral CHECK ((offer_id IS NULL) = (deferral_reason IS NOT NULL)),
    CONSTRAINT ck_decision_option CHECK (
        (offer_id IS NULL) = (price_id IS NULL) AND (offer_id IS NULL) = (reduction IS NULL)
        AND (offer_id IS NULL) = (reserved_nusd IS NULL)
    ),
    CONSTRAINT ck_decision_reduction CHECK (reduction IN ('none', 'light', 'strong')),
    CONSTRAINT ck_decision_money CHECK (cost_nusd >= 0 AND reserved_nusd >= 0)
);

CREATE INDEX ix_decision_job ON decision (job_id);

CREATE TABLE parcel (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    plan_id BIGINT NOT NULL,
    tokens BIGINT DEFAULT '0' NOT NULL,
    offer_id INTEGER NOT NULL,
    provider_id INTEGER NOT NULL,
    state TEXT DEFAULT 'ready' NOT NULL,
    jobs INTEGER NOT NULL,
    attempt INTEGER DEFAULT '0' NOT NULL,
    attempt_limit INTEGER NOT NULL,
    not_before timestamptz DEFAULT now() NOT NULL,
    due_at timestamptz NOT NULL,
    held_by TEXT,
    lease_expires_at timestamptz,
    ring_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_parcel PRIMARY KEY (id),
    CONSTRAINT ck_parcel_state CHECK (state IN ('ready', 'running', 'done', 'dead')),
    CONSTRAINT ck_parcel_attempt CHECK (attempt BETWEEN 0 AND attempt_limit),
    CONSTRAINT ck_parcel_lease CHECK (
        (state = 'running') = (held_by IS NOT NULL AND lease_expires_at IS NOT NULL)
    ),
    CONSTRAINT fk_parcel_plan_id FOREIGN KEY(plan_id) REFERENCES plan (id),
    CONSTRAINT fk_parcel_offer_id FOREIGN KEY(offer_id) REFERENCES offer (id),
    CONSTRAINT fk_parcel_provider_id FOREIGN KEY(provider_id) REFERENCES provider (id)
);

CREATE INDEX ix_parcel_bell ON parcel (ring_at) WHERE state = 'ready';

CREATE INDEX ix_parcel_lease ON parcel (lease_expires_at) WHERE state = 'running';

CREATE INDEX ix_parcel_ready ON parcel (provider_id, due_at, id) WHERE state = 'ready';

CREATE TABLE attempt (
    id UUID NOT NULL,
    started_at timestamptz NOT NULL,
    job_id BIGINT NOT NULL,
    parcel_id BIGINT NOT NULL,
    ordinal SMALLINT NOT NULL,
    fence INTEGER NOT NULL,
    offer_id INTEGER NOT NULL,
    price_id INTEGER NOT NULL,
    reduction TEXT NOT NULL,
    prompt TEXT NOT NULL,
    state TEXT DEFAULT 'started' NOT NULL,
    reserved_nusd BIGINT NOT NULL,
    booked_on DATE NOT NULL,
    cost_nusd BIGINT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    finish TEXT,
    served_model TEXT,
    request_id TEXT,
    error TEXT,
    seconds DOUBLE PRECISION,
    finished_at timestamptz,
    CONSTRAINT pk_attempt PRIMARY KEY (id, started_at),
    CONSTRAINT ck_attempt_state CHECK (state IN ('started', 'succeeded', 'failed', 'unknown')),
    CONSTRAINT ck_attempt_reduction CHECK (reduction IN ('none', 'light', 'strong')),
    CONSTRAINT ck_attempt_finished CHECK ((state = 'started') = (finished_at IS NULL)),
    CONSTRAINT ck_attempt_cost CHECK ((state IN ('succeeded', 'failed')) = (cost_nusd IS NOT NULL)),
    CONSTRAINT ck_attempt_money CHECK (reserved_nusd >= 0 AND cost_nusd >= 0)
) PARTITION BY RANGE (started_at);

CREATE INDEX ix_attempt_job ON attempt (job_id);

CREATE INDEX ix_attempt_open ON attempt (parcel_id) WHERE state = 'started';

CREATE INDEX ix_attempt_unknown ON attempt (offer_id) WHERE state = 'unknown';
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE attempt, parcel, decision, plan, estimator")
