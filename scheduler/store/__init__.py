"""Postgres: one module per group of tables; the caller owns the transaction."""
