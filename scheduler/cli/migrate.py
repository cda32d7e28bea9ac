"""`apportion migrate`: brings a given database to this program's schema."""

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from scheduler.cli.context import DatabaseAway, failure, postgres_url, url_text, where
from scheduler.domain.errors import Refused
from scheduler.settings import read_settings
from scheduler.store.migrate import upgrade


class MigrationRefused(Refused):
    """The database does not let this login make tables or roles."""

    def __init__(self, *, where: str, reason: str) -> None:
        super().__init__(
            f"the database at {where} refused the migration: {reason}; "
            "migrate as the database's owner, with CREATEROLE or with the roles made beforehand"
        )
        self.where = where
        self.reason = reason


@click.command()
def command() -> None:
    """Bring the database at APPORTION_DATABASE_URL to this program's schema.

    Run it once for every new version, as a login that owns the database; the service itself
    needs less (see docs/operations.md).  Many may run it at once: one migrates, the others
    wait.  The embedded database needs no such step, it is migrated when it is opened.
    """
    settings = read_settings()
    if settings.database_url is None:
        click.echo("APPORTION_DATABASE_URL is not set: the embedded database migrates itself")
        return
    url = postgres_url(settings.database_url.get_secret_value())
    try:
        revision = upgrade(url_text(url))
    except OperationalError as error:
        raise DatabaseAway(where=where(url), reason=failure(error)) from None
    except ProgrammingError as error:
        raise MigrationRefused(where=where(url), reason=failure(error)) from None
    click.echo(f"the database at {where(url)} has schema {revision}")
