"""What holds whoever writes: append-only tables, monthly partitions, roles."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: answer a mistake with another row', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON evidence
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON decision
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON plan
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON decision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON plan
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

# The application's role makes no tables; this function, its owner's, makes the months.
PARTITIONS = """
CREATE FUNCTION ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    month timestamp;
    child text;
    made integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['attempt', 'ledger', 'evidence'] LOOP
        FOR month IN SELECT generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month',
            date_trunc('month', now() AT TIME ZONE 'UTC') + months_ahead * interval '1 month',
            interval '1 month')
        LOOP
            child := parent || to_char(month, '_YYYY_MM');
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            -- Two processes that start together must not both make it.  Asked again by a query:
            -- to_regclass would answer from before the wait.
            PERFORM pg_advisory_xact_lock(4120, 1);
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_class
                WHERE relname = child AND relnamespace = 'public'::regnamespace);
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                child, parent, month AT TIME ZONE 'UTC',
                (month + interval '1 month') AT TIME ZONE 'UTC');
            IF parent <> 'attempt' THEN
                EXECUTE format(
                    'CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I'
                    ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', child);
            END IF;
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
"""

ROLES = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'apportion_app') THEN
        CREATE ROLE apportion_app NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'apportion_finance') THEN
        CREATE ROLE apportion_finance NOLOGIN;
    END IF;
EXCEPTION
    -- Another database of this server is being migrated at this moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'cannot create the roles apportion_app and apportion_finance'
            USING HINT = 'create both (NOLOGIN) as an administrator, and migrate again';
END $$;
DO $$
BEGIN
    IF NOT pg_has_role(CURRENT_USER, 'apportion_app', 'MEMBER') THEN
        GRANT apportion_app TO CURRENT_USER;
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO apportion_app, apportion_finance;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO apportion_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO apportion_app;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger, evidence, decision, plan FROM apportion_app;
REVOKE DELETE, TRUNCATE ON job, provider, offer, price FROM apportion_app;
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM apportion_app;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION ensure_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(integer) TO apportion_app;
"""

# After the grants: what is granted on all tables would hold for each month's own table too.
FIRST_MONTHS = "SELECT ensure_partitions(3)"

# Where a job goes whose message names no scope.
DEFAULT_SCOPE = """
INSERT INTO scope (id, kind, parent_id, tenant_id, name, path) OVERRIDING SYSTEM VALUE VALUES
    (1, 'organisation', NULL, 1, 'default', 'default'),
    (2, 'team', 1, 1, 'default', 'default/default'),
    (3, 'project', 2, 1, 'default', 'default/default/default');
SELECT setval(pg_get_serial_sequence('scope', 'id'), 3);
"""


def upgrade() -> None:
    for rule in (APPEND_ONLY, PARTITIONS, ROLES, FIRST_MONTHS, DEFAULT_SCOPE):
        op.execute(rule)


def downgrade() -> None:
    op.execute("DELETE FROM scope")
    op.execute("DROP FUNCTION ensure_partitions(integer)")
    op.execute("DROP FUNCTION refuse_change() CASCADE")
