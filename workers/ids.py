"""Ids of attempts: made here before the call, and in the order of their time."""

import os
import time
from uuid import UUID


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562): milliseconds first, then chance."""
    head = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10))
    high = head << 16 | 0x7000 | chance >> 68
    low = 0b10 << 62 | chance & (1 << 62) - 1
    return UUID(int=high << 64 | low)
