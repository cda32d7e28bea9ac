"""Documents, jobs, results and feedback."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE document (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    words INTEGER NOT NULL,
    digest BYTEA NOT NULL,
    body TEXT,
    path TEXT,
    found_class TEXT DEFAULT 'public' NOT NULL,
    features BYTEA NOT NULL,
    token_stats BYTEA NOT NULL,
    CONSTRAINT pk_document PRIMARY KEY (id),
    CONSTRAINT uq_document_tenant_id UNIQUE (tenant_id, digest),
    CONSTRAINT ck_document_place CHECK ((body IS NULL) <> (path IS NULL)),
    CONSTRAINT ck_document_found_class CHECK (
        found_class IN ('public', 'internal', 'confidential', 'restricted')
    ),
    CONSTRAINT ck_document_digest CHECK (octet_length(digest) = 32),
    CONSTRAINT fk_document_tenant_id FOREIGN KEY(tenant_id) REFERENCES scope (id)
);

CREATE TABLE job (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    digest BYTEA NOT NULL,
    document_id BIGINT NOT NULL,
    task TEXT NOT NULL,
    params JSONB DEFAULT '{}' NOT NULL,
    tags JSONB DEFAULT '{}' NOT NULL,
    priority SMALLINT DEFAULT '5' NOT NULL,
    deadline timestamptz,
    min_quality_ppm INTEGER DEFAULT '0' NOT NULL,
    max_cost_nusd BIGINT,
    residency TEXT[] DEFAULT '{}' NOT NULL,
    data_class TEXT NOT NULL,
    run_when TEXT DEFAULT 'now' NOT NULL,
    source TEXT NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    state TEXT DEFAULT 'queued' NOT NULL,
    not_before timestamptz DEFAULT now() NOT NULL,
    deferrals SMALLINT DEFAULT '0' NOT NULL,
    deferral_reason TEXT,
    plan_id BIGINT,
    parcel_id BIGINT,
    reserved_nusd BIGINT DEFAULT '0' NOT NULL,
    held_nusd BIGINT DEFAULT '0' NOT NULL,
    booked_on DATE,
    spent_nusd BIGINT DEFAULT '0' NOT NULL,
    finished_at timestamptz,
    CONSTRAINT pk_job PRIMARY KEY (id),
    CONSTRAINT uq_job_tenant_id UNIQUE (tenant_id, key),
    CONSTRAINT ck_job_task CHECK (task IN ('summarize', 'extract', 'classify', 'answer')),
    CONSTRAINT ck_job_data_class CHECK (
        data_class IN ('public', 'internal', 'confidential', 'restricted')
    ),
    CONSTRAINT ck_job_run_when CHECK (run_when IN ('now', 'night')),
    CONSTRAINT ck_job_state CHECK (state IN ('queued', 'planned', 'done', 'failed')),
    CONSTRAINT ck_job_priority CHECK (priority BETWEEN 1 AND 9),
    CONSTRAINT ck_job_min_quality CHECK (min_quality_ppm BETWEEN 0 AND 1000000),
    CONSTRAINT ck_job_money CHECK (max_cost_nusd >= 0 AND spent_nusd >= 0),
    CONSTRAINT ck_job_held CHECK (held_nusd BETWEEN 0 AND reserved_nusd),
    CONSTRAINT ck_job_booked CHECK (reserved_nusd = 0 OR booked_on IS NOT NULL),
    CONSTRAINT ck_job_parcel CHECK ((state = 'planned') = (parcel_id IS NOT NULL)),
    CONSTRAINT ck_job_finished CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT ck_job_key CHECK (octet_length(key) BETWEEN 1 AND 200),
    CONSTRAINT fk_job_tenant_id FOREIGN KEY(tenant_id) REFERENCES scope (id),
    CONSTRAINT fk_job_project_id FOREIGN KEY(project_id) REFERENCES scope (id),
    CONSTRAINT fk_job_document_id FOREIGN KEY(document_id) REFERENCES document (id)
);

CREATE INDEX ix_job_held ON job (id) WHERE reserved_nusd > 0 AND state IN ('done', 'failed');

CREATE INDEX ix_job_parcel ON job (parcel_id) WHERE state = 'planned';

CREATE INDEX ix_job_queued ON job (run_when, not_before, id) WHERE state = 'queued';

CREATE TABLE feedback (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    job_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    score_ppm INTEGER,
    seconds DOUBLE PRECISION,
    source TEXT NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_feedback PRIMARY KEY (id),
    CONSTRAINT ck_feedback_kind CHECK (kind IN ('use', 'edit', 'ignore', 'score')),
    CONSTRAINT ck_feedback_score CHECK ((kind = 'score') = (score_ppm IS NOT NULL)),
    CONSTRAINT ck_feedback_range CHECK (score_ppm BETWEEN 0 AND 1000000 AND seconds >= 0),
    CONSTRAINT fk_feedback_job_id FOREIGN KEY(job_id) REFERENCES job (id)
);

CREATE INDEX ix_feedback_job ON feedback (job_id);

CREATE TABLE result (
    job_id BIGINT NOT NULL,
    tenant_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    output JSONB,
    reason TEXT,
    attempt_id UUID,
    offer_id INTEGER,
    reduction TEXT,
    cost_nusd BIGINT NOT NULL,
    quality_ppm INTEGER,
    digest BYTEA NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_result PRIMARY KEY (job_id),
    CONSTRAINT ck_result_status CHECK (status IN ('done', 'failed')),
    CONSTRAINT ck_result_reason CHECK ((status = 'failed') = (reason IS NOT NULL)),
    CONSTRAINT ck_result_attempt CHECK ((status = 'done') = (attempt_id IS NOT NULL)),
    CONSTRAINT ck_result_reduction CHECK (reduction IN ('none', 'light', 'strong')),
    CONSTRAINT fk_result_job_id FOREIGN KEY(job_id) REFERENCES job (id),
    CONSTRAINT fk_result_tenant_id FOREIGN KEY(tenant_id) REFERENCES scope (id),
    CONSTRAINT fk_result_offer_id FOREIGN KEY(offer_id) REFERENCES offer (id)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE result, feedback, job, document")
