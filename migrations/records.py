"""How a migration chains a record; as it stands here, since what an upgrade writes must not change.

The program's own functions may; none of them is called.
"""

import hashlib
import json
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, text

_HEAD = """
    INSERT INTO evidence_head (stream, seq, digest)
    VALUES (:stream, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING
"""
_STAND = """
    SELECT seq, digest, clock_timestamp() AS at FROM evidence_head
    WHERE stream = :stream FOR UPDATE
"""
_RECORD = """
    INSERT INTO evidence (stream, seq, at, kind, body, digest)
    VALUES (:stream, :seq, :at, :kind, :body, :digest)
"""
_MOVE = "UPDATE evidence_head SET seq = :seq, digest = :digest WHERE stream = :stream"


def append_record(conn: Connection, *, stream: str, kind: str, body: dict[str, Any]) -> None:
    """Chain one record to *stream*, whose head stays locked until the transaction ends."""
    conn.execute(text(_HEAD), {"stream": stream})
    stand = conn.execute(text(_STAND), {"stream": stream}).one()
    spelled = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    at = stand.at.astimezone(UTC).isoformat(timespec="microseconds")
    head = f"{stream}\n{stand.seq + 1}\n{at}\n{kind}"
    digest = hashlib.sha256()
    for part in (bytes(stand.digest), head.encode(), spelled.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    after = {"stream": stream, "seq": stand.seq + 1, "digest": digest.digest()}
    conn.execute(text(_RECORD), {"at": stand.at, "kind": kind, "body": spelled} | after)
    conn.execute(text(_MOVE), after)
