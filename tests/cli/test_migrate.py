"""`apportion migrate`, and what a command says of a database that is not ready for it."""

from sqlalchemy import make_url

from scheduler.store.migrate import SchemaBehind, newest
from tests.cli.conftest import Run


def test_an_empty_database_is_migrated_and_then_served(run: Run, empty_database_url: str) -> None:
    before = run("status", database=empty_database_url)
    told = run("migrate", database=empty_database_url)
    after = run("status", database=empty_database_url)

    assert isinstance(before.exception, SchemaBehind)
    assert "apportion migrate" in str(before.exception)
    assert told.stdout.endswith(f"has schema {newest()}\n")
    assert after.exit_code == 0


def test_migrating_again_changes_nothing(run: Run, database_url: str) -> None:
    assert run("migrate", database=database_url).exit_code == 0


def test_a_url_is_taken_with_or_without_its_driver(run: Run, database_url: str) -> None:
    plain = make_url(database_url).set(drivername="postgresql")

    assert run("migrate", database=plain.render_as_string(hide_password=False)).exit_code == 0


def test_the_embedded_database_needs_no_migration(run: Run) -> None:
    told = run("migrate", database="", APPORTION_DATABASE_URL="")

    assert "migrates itself" in told.stdout
