"""What no role may do: rewrite what happened, or, but for its owner, change the tables."""

import uuid
from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.pool import NullPool

from scheduler.domain.ledger import EntryKind
from scheduler.store.budgets import set_budget
from scheduler.store.connect import open_engine
from scheduler.store.evidence import append
from scheduler.store.ledger import Entry, book
from scheduler.store.migrate import ensure_partitions, upgrade
from tests.rig import postgres as postgres_rig

APPEND_ONLY = ("ledger", "evidence", "decision", "plan")
PARTITIONED = ("ledger", "evidence")


@pytest.fixture(scope="module")
def url(postgres: postgres_rig.Server, template: str) -> Iterator[str]:
    """A database with a row in each of the append-only tables; no test can change them."""
    with postgres_rig.database(postgres, like=template) as name:
        url = postgres.database(name)
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as conn:
            write(conn)
        yield url


@pytest.fixture(scope="module")
def engine(url: str) -> Engine:
    """As the owner of the tables, who is a superuser besides."""
    return create_engine(url, poolclass=NullPool)


@pytest.fixture(scope="module")
def app(url: str) -> Iterator[Engine]:
    """The service's own engine."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


def write(conn: Connection) -> None:
    day = date(2026, 1, 1)
    set_budget(conn, scope_id=3, starts_on=day, ends_on=date(2027, 1, 1), limit_nusd=10, by="x")
    reservation = Entry(
        kind=EntryKind.RESERVATION,
        amount_nusd=1,
        tenant_id=1,
        project_id=3,
        booked_on=day,
        job_id=1,
    )
    book(conn, [reservation])
    append(conn, stream="s", kind="k", bodies=[{}])
    conn.execute(
        text(
            "INSERT INTO plan (jobs, planned, deferred, passes, window_kind, value, bound, gap,"
            " solve_s, seed, cost_nusd, reserved_nusd, rows, inputs, decisions_digest)"
            " VALUES (0, 0, 0, 0, 'asked', 0, 0, 0, 0, 0, 0, 0, '[]', '{}', '')"
        )
    )


def partition_of(conn: Connection, parent: str) -> str:
    """The name of the partition that has rows."""
    found = conn.execute(text(f"SELECT tableoid::regclass::text FROM {parent}")).first()
    assert found is not None
    return str(found[0])


@pytest.mark.parametrize("change", ["UPDATE {} SET kind = kind", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", PARTITIONED)
def test_not_even_the_owner_rewrites_a_month(engine: Engine, table: str, change: str) -> None:
    with engine.connect() as conn:
        month = partition_of(conn, table)
        with pytest.raises(DBAPIError, match="append-only"):
            conn.execute(text(change.format(month)))


@pytest.mark.parametrize(
    "change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
@pytest.mark.parametrize("table", ["ledger", "evidence", "plan"])
def test_not_even_the_owner_rewrites_what_happened(engine: Engine, table: str, change: str) -> None:
    column = "jobs" if table == "plan" else "kind"
    with engine.connect() as conn, pytest.raises(DBAPIError, match="append-only"):
        conn.execute(text(change.format(table, column, column)))


def test_a_month_to_come_is_append_only_too(app: Engine, engine: Engine) -> None:
    with app.begin() as conn:
        ensure_partitions(conn)
        conn.execute(text("SELECT ensure_partitions(4)"))

    triggers = text("""
        SELECT count(*) FROM pg_inherits
        WHERE inhparent IN ('ledger'::regclass, 'evidence'::regclass)
          AND (SELECT count(*) FROM pg_trigger WHERE tgrelid = inhrelid) <> 2
    """)
    with engine.connect() as conn:
        assert conn.execute(triggers).scalar_one() == 0


@pytest.mark.parametrize("privilege", ["UPDATE", "DELETE", "TRUNCATE"])
def test_the_service_has_no_right_to_rewrite_a_table_or_any_month_of_it(
    app: Engine, privilege: str
) -> None:
    with app.connect() as conn:
        may = conn.execute(
            text("""
                SELECT relname FROM pg_class
                WHERE (relname = ANY(:parents) OR oid IN (
                        SELECT inhrelid FROM pg_inherits
                        WHERE inhparent IN ('ledger'::regclass, 'evidence'::regclass)))
                  AND has_table_privilege(oid, :privilege)
            """),
            {"parents": list(APPEND_ONLY), "privilege": privilege},
        ).all()

    assert may == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine (id int)",
        "ALTER TABLE job ADD COLUMN mine int",
        "ALTER TABLE ledger DISABLE TRIGGER append_only",
        "DROP TABLE job",
        "CREATE OR REPLACE FUNCTION public.refuse_change() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "UPDATE alembic_version SET version_num = '0000'",
    ],
)
def test_the_service_cannot_change_the_schema(app: Engine, statement: str) -> None:
    with app.connect() as conn, pytest.raises(ProgrammingError, match=r"permission|owner"):
        conn.execute(text(statement))


def test_the_service_writes_what_it_must(app: Engine) -> None:
    with app.begin() as conn:
        append(conn, stream="s", kind="k", bodies=[{}, {}])
        conn.execute(text("UPDATE scope SET name = name"))

    with app.connect() as conn:
        assert conn.execute(text("SELECT current_user")).scalar_one() == "apportion_app"


def test_finance_reads_the_views_and_nothing_else(engine: Engine) -> None:
    readable = text("""
        SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'S')
          AND has_table_privilege('apportion_finance', pg_class.oid, 'SELECT')
    """)
    with engine.connect() as conn:
        names = set(conn.execute(readable).scalars())
        conn.execute(text("SET ROLE apportion_finance"))
        for view in names:
            conn.execute(text(f"SELECT * FROM {view}"))

    assert names == {
        "finance_budget",
        "finance_correction",
        "finance_spend",
        "finance_unknown",
    }


@pytest.fixture
def owner_url(postgres: postgres_rig.Server) -> Iterator[str]:
    """A database whose owner is no superuser, on a server where the roles were made before."""
    name, password = f"apportion_owner_{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    with postgres_rig.database(postgres) as database:
        with postgres.connect() as conn:
            conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE apportion_app")
            conn.execute(f"ALTER DATABASE {database} OWNER TO {name}")
        url = make_url(postgres.database(database)).set(username=name, password=password)
        yield url.render_as_string(hide_password=False)
        with postgres.connect() as conn:
            conn.execute(f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
    with postgres.connect() as conn:
        conn.execute(f"DROP ROLE {name}")


def test_a_database_is_migrated_by_an_owner_who_is_no_superuser(
    template: str, owner_url: str
) -> None:
    upgrade(owner_url)

    engine = create_engine(owner_url, poolclass=NullPool)
    with engine.begin() as conn:
        append(conn, stream="s", kind="k", bodies=[{}])
    with engine.connect() as conn, pytest.raises(DBAPIError, match="append-only"):
        conn.execute(text("DELETE FROM evidence"))
