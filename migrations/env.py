"""Runs the migrations on the connection that `scheduler.store.migrate` opened."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from scheduler.store.tables import catalog, evidence, flow, jobs, money, plans, scopes, work
from scheduler.store.tables.base import metadata

# Imported so that the metadata holds every table.
GROUPS = (catalog, evidence, flow, jobs, money, plans, scopes, work)


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:  # the `alembic` command itself, by a developer
    with create_engine(os.environ["APPORTION_DATABASE_URL"]).connect() as opened:
        migrate(opened)
