"""An audit record's digest, and the chain that makes an edited record show."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GENESIS = b"\0" * 32
"""The digest before the first record of every stream."""


# Made once: `json.dumps` with settings of its own makes an encoder for every call.
_spell = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def canonical(body: Any) -> str:
    """*body* as JSON with one spelling: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: a number is not finite, and so has no JSON.
    """
    return _spell(body)


def digest(*parts: bytes) -> bytes:
    """SHA-256 (32 bytes) of *parts*, each preceded by its length so that none can move."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a stream, as it is stored.

    Attributes:
        stream: who writes: one stream has one writer at a time.
        seq: 1 for a stream's first record, and one more for each that follows.
        at: when it was written, ISO 8601 in UTC.
        kind: what happened, like `plan` or `calls`.
        body: canonical JSON.
    """

    stream: str
    seq: int
    at: str
    kind: str
    body: str

    def digest_after(self, previous: bytes) -> bytes:
        """This record's digest (32 bytes), given the digest of the one before."""
        head = f"{self.stream}\n{self.seq}\n{self.at}\n{self.kind}"
        return digest(previous, head.encode(), self.body.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Where a chain does not hold, and how that shows."""

    stream: str
    seq: int
    reason: str


def first_fault(
    records: Iterable[tuple[Record, bytes]], *, after: bytes = GENESIS, seq: int = 0
) -> Fault | None:
    """First place where *records* (one stream's, in order, with their stored digests) break.

    *after* and *seq* are where the chain stood before the first of them.
    """
    for record, stored in records:
        seq += 1
        if record.seq != seq:
            reason = f"record {seq} is missing; {record.seq} follows"
            return Fault(stream=record.stream, seq=seq, reason=reason)
        after = record.digest_after(after)
        if after != stored:
            reason = "the record, or one before it, was altered"
            return Fault(stream=record.stream, seq=seq, reason=reason)
    return None
