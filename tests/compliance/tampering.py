"""Altering what was recorded, and what the audit then finds."""

from sqlalchemy import Connection, text

from scheduler.compliance.verification import verify


def tamper(conn: Connection, statement: str) -> None:
    """Change rows as only the owner of the database can: past every trigger."""
    conn.execute(text("SET LOCAL session_replication_role = replica"))
    changed = conn.exec_driver_sql(statement)
    conn.execute(text("SET LOCAL session_replication_role = origin"))
    assert changed.rowcount > 0


def found(conn: Connection) -> list[str]:
    return [f"{finding.where}: {finding.what}" for finding in verify(conn).findings]
