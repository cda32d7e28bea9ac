"""What a database says of itself: version, roles, months, clock, connections."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHealth:
    """How the database and this session are.

    Attributes:
        may_rewrite: the session may change or delete ledger or evidence.
        is_superuser: whoever logged in may do anything, by changing back to that role.
        missing_partitions: this month's and next month's that are not there.
    """

    version: str
    version_num: int
    session_user: str
    acting_user: str
    is_superuser: bool
    may_rewrite: bool
    now: datetime
    connections: int
    connections_max: int
    missing_partitions: Sequence[str]


_HEALTH = text("""
    SELECT current_setting('server_version') AS version,
           current_setting('server_version_num')::int AS version_num,
           session_user::text AS session_user, current_user::text AS acting_user,
           (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS is_superuser,
           coalesce((SELECT bool_or(has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE'))
                     FROM pg_class
                     WHERE oid IN (to_regclass('ledger'), to_regclass('evidence'))), false)
               AS may_rewrite,
           clock_timestamp() AS now,
           (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL)
               AS connections,
           current_setting('max_connections')::int AS connections_max,
           coalesce((SELECT array_agg(child ORDER BY child)
                     FROM (SELECT parent || to_char(month, '_YYYY_MM') AS child
                           FROM unnest(ARRAY['attempt', 'ledger', 'evidence']) AS parent,
                                generate_series(
                                    date_trunc('month', now() AT TIME ZONE 'UTC'),
                                    date_trunc('month', now() AT TIME ZONE 'UTC')
                                        + interval '1 month',
                                    interval '1 month') AS month) AS wanted
                     WHERE to_regclass(child) IS NULL), '{}') AS missing_partitions
""")


def database_health(conn: Connection) -> DatabaseHealth:
    """How the database and this session are."""
    return DatabaseHealth(**conn.execute(_HEALTH).one()._asdict())
