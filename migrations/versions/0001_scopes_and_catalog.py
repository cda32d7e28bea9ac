"""Scopes, providers, offers and their prices."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE scope (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    parent_id INTEGER,
    tenant_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    CONSTRAINT pk_scope PRIMARY KEY (id),
    CONSTRAINT ck_scope_kind CHECK (kind IN ('organisation', 'team', 'project')),
    CONSTRAINT ck_scope_parent CHECK ((kind = 'organisation') = (parent_id IS NULL)),
    CONSTRAINT ck_scope_tenant CHECK ((kind = 'organisation') = (tenant_id = id)),
    CONSTRAINT ck_scope_name CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    CONSTRAINT fk_scope_parent_id FOREIGN KEY(parent_id) REFERENCES scope (id),
    CONSTRAINT fk_scope_tenant_id FOREIGN KEY(tenant_id) REFERENCES scope (id),
    CONSTRAINT uq_scope_path UNIQUE (path)
);

CREATE INDEX ix_scope_parent ON scope (parent_id);

CREATE TABLE provider (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    protocol TEXT NOT NULL,
    base_url TEXT DEFAULT '' NOT NULL,
    key_variable TEXT,
    CONSTRAINT pk_provider PRIMARY KEY (id),
    CONSTRAINT uq_provider_name UNIQUE (name)
);

CREATE TABLE offer (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    model TEXT NOT NULL,
    region TEXT DEFAULT '' NOT NULL,
    lane TEXT NOT NULL,
    tasks TEXT[] NOT NULL,
    certificates TEXT[] DEFAULT '{}' NOT NULL,
    requests_per_minute INTEGER NOT NULL,
    tokens_per_minute INTEGER NOT NULL,
    context_limit INTEGER NOT NULL,
    output_limit INTEGER NOT NULL,
    concurrency INTEGER NOT NULL,
    is_on BOOLEAN NOT NULL,
    tokenizer TEXT NOT NULL,
    quality_prior JSONB NOT NULL,
    details JSONB DEFAULT '{}' NOT NULL,
    off_reason TEXT,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_offer PRIMARY KEY (id),
    CONSTRAINT ck_offer_lane CHECK (lane IN ('sync', 'batch', 'inhouse')),
    CONSTRAINT ck_offer_off_reason CHECK (is_on = (off_reason IS NULL)),
    CONSTRAINT uq_offer_name UNIQUE (name),
    CONSTRAINT fk_offer_provider_id FOREIGN KEY(provider_id) REFERENCES provider (id)
);

CREATE TABLE breaker (
    offer_id INTEGER NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    resting_until timestamptz,
    last_error TEXT,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_breaker PRIMARY KEY (offer_id),
    CONSTRAINT fk_breaker_offer_id FOREIGN KEY(offer_id) REFERENCES offer (id)
);

CREATE TABLE pace (
    offer_id INTEGER NOT NULL,
    requests_until timestamptz DEFAULT now() NOT NULL,
    tokens_until timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_pace PRIMARY KEY (offer_id),
    CONSTRAINT fk_pace_offer_id FOREIGN KEY(offer_id) REFERENCES offer (id)
);

CREATE TABLE price (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    offer_id INTEGER NOT NULL,
    input_pusd BIGINT NOT NULL,
    output_pusd BIGINT NOT NULL,
    request_pusd BIGINT DEFAULT '0' NOT NULL,
    source TEXT NOT NULL,
    digest BYTEA NOT NULL,
    effective_from timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_price PRIMARY KEY (id),
    CONSTRAINT uq_price_offer_id UNIQUE (offer_id, effective_from),
    CONSTRAINT ck_price_sign CHECK (least(input_pusd, output_pusd, request_pusd) >= 0),
    CONSTRAINT fk_price_offer_id FOREIGN KEY(offer_id) REFERENCES offer (id)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE price, pace, breaker, offer, provider, scope")
