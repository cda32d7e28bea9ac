"""The migrations make the tables that SQLAlchemy sees: from nothing, back, and from many sides."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from threading import Barrier

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, func, inspect, select, text
from sqlalchemy.pool import NullPool

from scheduler.store.migrate import (
    MIGRATION_LOCK,
    MIGRATION_UNLOCK,
    SchemaBehind,
    check,
    ensure_partitions,
    newest,
    upgrade,
)
from scheduler.store.tables import catalog, evidence, flow, jobs, money, plans, scopes, work
from scheduler.store.tables.base import metadata
from tests.rig.waiting import eventually

GROUPS = (catalog, evidence, flow, jobs, money, plans, scopes, work)
SCRIPTS = str(files("migrations"))

OURS = """
    FROM pg_class tab JOIN pg_namespace ON pg_namespace.oid = tab.relnamespace
    {join}
    WHERE nspname = 'public' AND tab.relkind IN ('r', 'p') AND NOT tab.relispartition
      AND tab.relname <> 'alembic_version' {where}
"""
COLUMNS = (
    "SELECT tab.relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,"
    + (" pg_get_expr(adbin, adrelid), pg_get_partkeydef(tab.oid)")
    + OURS.format(
        join="JOIN pg_attribute ON attrelid = tab.oid AND attnum > 0 AND NOT attisdropped"
        " LEFT JOIN pg_attrdef ON adrelid = tab.oid AND adnum = attnum",
        where="",
    )
)
CONSTRAINTS = "SELECT tab.relname, conname, pg_get_constraintdef(con.oid)" + OURS.format(
    # From 18 on, NOT NULL is a constraint, too; the columns have it already.
    join="JOIN pg_constraint con ON conrelid = tab.oid",
    where="AND contype <> 'n'",
)
INDEXES = "SELECT tab.relname, pg_get_indexdef(indexrelid)" + OURS.format(
    join="JOIN pg_index ON indrelid = tab.oid", where=""
)


def described(engine: Engine, query: str) -> list[str]:
    """What Postgres itself says of the tables, so that two spellings of one thing are equal."""
    with engine.connect() as conn:
        return sorted(" | ".join(map(str, row)) for row in conn.execute(text(query)))


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def modelled(empty: Engine) -> Engine:
    """A database that the models made, not the migrations."""
    metadata.create_all(empty)
    return empty


def to(conn: Connection, revision: str) -> None:
    """Up or down to *revision*."""
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = conn
    known = [script.revision for script in ScriptDirectory(SCRIPTS).walk_revisions()][::-1]
    at = conn.execute(text("SELECT max(version_num) FROM alembic_version")).scalar_one()
    conn.commit()
    if revision == "base" or (at is not None and known.index(revision) < known.index(at)):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)
    conn.commit()


@pytest.mark.parametrize(
    "query", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "rules", "indexes"]
)
def test_the_models_and_the_migrations_make_the_same_tables(
    engine: Engine, modelled: Engine, query: str
) -> None:
    made = described(engine, query)

    assert len(made) > 20
    assert made == described(modelled, query)


def test_there_is_one_newest_revision() -> None:
    assert ScriptDirectory(SCRIPTS).get_heads() == [newest()]


def test_an_empty_database_is_brought_to_the_newest_schema(empty: Engine) -> None:
    with empty.connect() as conn, pytest.raises(SchemaBehind, match="empty"):
        check(conn)

    url = empty.url.render_as_string(hide_password=False)
    assert upgrade(url) == newest()

    with empty.connect() as conn:
        check(conn)


def test_a_database_of_an_older_program_is_refused(conn: Connection) -> None:
    conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    with pytest.raises(SchemaBehind, match=r"0001 .*`apportion migrate`"):
        check(conn)


def test_every_migration_can_be_undone_and_done_again(engine: Engine) -> None:
    before = [described(engine, query) for query in (COLUMNS, CONSTRAINTS, INDEXES)]
    revisions = [script.revision for script in ScriptDirectory(SCRIPTS).walk_revisions()]

    with engine.connect() as conn:
        for revision in [*revisions[1:], "base"]:
            to(conn, revision)
        left = described(engine, COLUMNS)
        for revision in reversed(revisions):
            to(conn, revision)

    assert left == []
    assert [described(engine, query) for query in (COLUMNS, CONSTRAINTS, INDEXES)] == before


def test_processes_that_start_together_migrate_once(empty: Engine) -> None:
    url = empty.url.render_as_string(hide_password=False)
    program = "import sys; from scheduler.store.migrate import upgrade; print(upgrade(sys.argv[1]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]

    ended = [process.communicate(timeout=60) for process in started]

    assert [out.decode().strip() for out, _ in ended] == [newest()] * 3, ended


def test_who_finds_a_migration_under_way_waits_for_it_whatever_the_databases_limit(
    empty: Engine,
) -> None:
    url = empty.url.render_as_string(hide_password=False)
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with ThreadPoolExecutor(1) as pool, empty.connect() as first:
        first.execute(select(MIGRATION_LOCK))
        first.execute(text(f'ALTER DATABASE "{empty.url.database}" SET lock_timeout = 5'))
        first.commit()
        second = pool.submit(upgrade, url)
        eventually(lambda: first.execute(waiting).scalar_one(), what="the second to wait")
        assert not inspect(empty).has_table("job")
        first.execute(select(MIGRATION_UNLOCK))

        assert second.result(timeout=60) == newest()


def test_partitions_are_made_for_the_months_to_come(conn: Connection) -> None:
    children = text("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ledger'::regclass")
    before = conn.execute(children).scalar_one()

    assert ensure_partitions(conn) == 0
    assert conn.execute(select(func.ensure_partitions(5))).scalar_one() == 6

    assert conn.execute(children).scalar_one() == before + 2


def test_records_are_stored_as_they_are_in_every_month(conn: Connection) -> None:
    conn.execute(select(func.ensure_partitions(5)))
    stored = conn.execute(
        text("""
            SELECT attstorage, count(*) FROM pg_attribute
            JOIN pg_inherits ON inhrelid = attrelid
            WHERE inhparent = 'evidence'::regclass AND attname = 'body' GROUP BY attstorage
        """)
    )
    assert [kind for kind, _ in stored] == ["e"]


def test_two_processes_make_each_month_once(engine: Engine) -> None:
    together = Barrier(2)

    def make() -> int:
        with engine.begin() as conn:
            together.wait(timeout=60)
            made: int = conn.execute(select(func.ensure_partitions(6))).scalar_one()
            return made

    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(make) for _ in range(2)]

    assert sum(future.result() for future in made) == 9
