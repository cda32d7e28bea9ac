"""Each offer's breaker, shared by all workers."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects.postgresql import insert

from scheduler.domain.breaker import Breaker
from scheduler.store.tables.catalog import breaker

_COLUMNS = (breaker.c.offer_id, breaker.c.failures, breaker.c.resting_until, breaker.c.is_asked)


def read_breakers(conn: Connection, offer_ids: Iterable[int]) -> dict[int, Breaker]:
    """The breakers of *offer_ids*; one of which nothing was ever reported is a new one."""
    wanted = set(offer_ids)
    rows = conn.execute(select(*_COLUMNS).where(breaker.c.offer_id.in_(wanted)))
    known = _breakers(rows)
    return {offer_id: known.get(offer_id, Breaker()) for offer_id in wanted}


def lock_breakers(conn: Connection, offer_ids: Iterable[int]) -> dict[int, Breaker]:
    """As `read_breakers`, and nobody else changes them until the transaction ends."""
    wanted = sorted(set(offer_ids))
    if not wanted:
        return {}
    conn.execute(
        insert(breaker)
        .values([{"offer_id": offer_id} for offer_id in wanted])
        .on_conflict_do_nothing()
    )
    rows = conn.execute(
        select(*_COLUMNS)
        .where(breaker.c.offer_id.in_(wanted))
        .order_by(breaker.c.offer_id)
        .with_for_update()
    )
    return _breakers(rows)


def _breakers(rows: Iterable[Row[int, int, datetime | None, bool]]) -> dict[int, Breaker]:
    return {
        offer_id: Breaker(failures=failures, resting_until=until, is_asked=is_asked)
        for offer_id, failures, until, is_asked in rows
    }


def write_breakers(
    conn: Connection, breakers: Mapping[int, Breaker], *, errors: Mapping[int, str]
) -> None:
    """Store *breakers*, which were locked in this transaction; *errors* is what each last saw."""
    for offer_id, one in sorted(breakers.items()):
        conn.execute(
            breaker.update()
            .where(breaker.c.offer_id == offer_id)
            .values(
                failures=one.failures,
                resting_until=one.resting_until,
                is_asked=one.is_asked,
                last_error=errors.get(offer_id),
                updated_at=func.now(),
            )
        )
