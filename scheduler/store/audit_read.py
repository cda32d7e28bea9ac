"""What an audit reads row by row: records, decisions and results, never all in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from psycopg.types.json import set_json_loads
from sqlalchemy import Connection, select, text

from scheduler.domain.decision import COLUMNS, DecisionRow
from scheduler.domain.evidence import Record, canonical
from scheduler.store.bulk import driver
from scheduler.store.tables.plans import plan

ROWS_AT_ONCE = 5_000
RECORDS_AT_ONCE = 100
"""A record of calls has 135 KB, and more where parcels are larger."""
RESULTS_AT_ONCE = 500
"""An answer may have as many KB as a document."""
_RECORDS = "SELECT stream, seq, at, kind, body, digest FROM evidence ORDER BY stream, seq, at"


def all_records(conn: Connection) -> Iterator[tuple[Record, bytes]]:
    """Every record of every stream with its stored digest, by stream and number."""
    # Past SQLAlchemy: its rows cost more than hashing them does.
    with driver(conn).cursor(name="audit", binary=True) as cursor:
        cursor.itersize = RECORDS_AT_ONCE
        for stream, seq, at, kind, body, digest in cursor.execute(_RECORDS):
            yield Record(stream=stream, seq=seq, at=_text(at), kind=kind, body=body), digest


def digest_at(conn: Connection, *, stream: str, seq: int) -> bytes | None:
    """The stored digest (32 bytes) of one record; None where there is no such record."""
    found = conn.execute(_DIGEST, {"stream": stream, "seq": seq}).first()
    return None if found is None else bytes(found.digest)


_ALTERNATIVES = COLUMNS.index("alternatives")
_DECISIONS = f"""
    SELECT plan_id, {", ".join(COLUMNS)} FROM decision ORDER BY plan_id, job_id
"""  # noqa: S608 - names of ours
_DIGEST = text("SELECT digest FROM evidence WHERE stream = :stream AND seq = :seq")


def all_decisions(conn: Connection) -> Iterator[tuple[int, DecisionRow]]:
    """Every decision with its plan's id, by plan and job."""
    with driver(conn).cursor(name="audit", binary=True) as cursor:
        set_json_loads(orjson.loads, cursor)
        cursor.itersize = ROWS_AT_ONCE
        for plan_id, *values in cursor.execute(_DECISIONS):
            values[_ALTERNATIVES] = canonical(values[_ALTERNATIVES])
            yield plan_id, values


def plan_digests(conn: Connection) -> dict[int, bytes]:
    """The stored digest of every plan's decisions."""
    rows = conn.execute(select(plan.c.id, plan.c.decisions_digest).order_by(plan.c.id))
    return {row.id: bytes(row.decisions_digest) for row in rows}


def all_results(conn: Connection) -> Iterator[tuple[int, object, str | None, bytes]]:
    """Every result: its job's id, output, reason and stored digest."""
    with driver(conn).cursor(name="audit", binary=True) as cursor:
        set_json_loads(orjson.loads, cursor)
        cursor.itersize = RESULTS_AT_ONCE
        yield from cursor.execute("SELECT job_id, output, reason, digest FROM result")


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
