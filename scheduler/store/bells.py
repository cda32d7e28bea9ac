"""Which parcels' workers are to be told (again) that work waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

# Only so many of a provider's bells are out at once: a long night does not fill the queues
# with bells that ring in vain, and urgent parcels are not behind them.
_DUE = text("""
    SELECT provider.name AS provider, due.id AS parcel_id, due.attempt
    FROM provider
    CROSS JOIN LATERAL (
        SELECT count(*) AS bells FROM parcel
        WHERE parcel.provider_id = provider.id AND state = 'ready' AND ring_at > now()
    ) AS out
    CROSS JOIN LATERAL (
        SELECT id, attempt FROM parcel
        WHERE parcel.provider_id = provider.id AND state = 'ready'
          AND ring_at <= now() AND not_before <= now()
        ORDER BY due_at, id
        LIMIT greatest(:bells_max - out.bells, 0)
    ) AS due
""")

_RUNG = text("""
    UPDATE parcel SET ring_at = now() + :again
    FROM unnest(CAST(:ids AS bigint[]), CAST(:attempts AS int[])) AS rung (id, attempt)
    WHERE parcel.id = rung.id AND parcel.attempt = rung.attempt AND state = 'ready'
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bell:
    """What a worker of *provider* is told: that parcel, as it is before its next lease."""

    provider: str
    parcel_id: int
    attempt: int


def due_bells(conn: Connection, *, bells_max: int) -> list[Bell]:
    """The bells to ring now, each provider's most urgent first."""
    return [Bell(**row._asdict()) for row in conn.execute(_DUE, {"bells_max": bells_max})]


def mark_rung(conn: Connection, bells: Sequence[Bell], *, again: timedelta) -> None:
    """Ring *bells* again only after *again*, should nobody have come by then.

    A parcel that was leased meanwhile is left as it is.
    """
    conn.execute(
        _RUNG,
        {
            "ids": [bell.parcel_id for bell in bells],
            "attempts": [bell.attempt for bell in bells],
            "again": again,
        },
    )
