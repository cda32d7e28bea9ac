"""What a plan decided for one job, as it is spelled for the plan's digest."""

import hashlib
import json
from collections.abc import Iterable, Sequence

COLUMNS = (
    "job_id",
    "offer_id",
    "price_id",
    "reduction",
    "cost_nusd",
    "reserved_nusd",
    "quality_ppm",
    "quality_low_ppm",
    "input_tokens",
    "output_tokens",
    "output_limit",
    "alternatives",
    "deferral_reason",
)
"""A decision's fields, in the order in which they are stored, read and digested.

`alternatives` is canonical JSON text; all but `job_id` and it are None where they do not apply.
"""

DecisionRow = Sequence[int | str | None]
"""One decision, a value for each of `COLUMNS`."""

# `evidence.canonical` for rows: made once, because a plan may have a million of them.
_spell = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def decisions_digest(rows: Iterable[DecisionRow]) -> bytes:
    """SHA-256 (32 bytes) of a plan's decisions, which come in the order of their jobs' ids.

    Each row is hashed as one line, a JSON list; so the digest can be had again from the
    stored rows alone.
    """
    hasher = hashlib.sha256()
    for row in rows:
        hasher.update(_spell(list(row)).encode())
        hasher.update(b"\n")
    return hasher.digest()
