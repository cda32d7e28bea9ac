"""The database's history; Alembic reads it."""
