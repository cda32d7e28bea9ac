"""Ids of attempts: made here before the call, and in the order of their time."""

import os
import time
from uuid import UUID

_VERSION, _VARIANT = 0x7 << 76, 0x2 << 62
_CHANCE = (1 << 76) - 1 & ~(0x3 << 62)
_BYTES = 10


def new_ids(count: int) -> list[UUID]:
    """*count* UUIDs of version 7 (RFC 9562): milliseconds first, then chance."""
    fixed = time.time_ns() // 1_000_000 << 80 | _VERSION | _VARIANT
    chance = os.urandom(_BYTES * count)
    return [
        UUID(int=fixed | int.from_bytes(chance[at : at + _BYTES]) & _CHANCE)
        for at in range(0, len(chance), _BYTES)
    ]
