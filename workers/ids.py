"""Ids of attempts: made here before the call, and in the order of their time."""

import os
import time

_BYTES = 10
# The bits that say which kind of UUID it is, instead of the two first ones of a digit.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def new_ids(count: int) -> list[str]:
    """*count* UUIDs of version 7 (RFC 9562), as text: milliseconds first, then chance.

    Not as `uuid.UUID`: making and spelling one takes four times as long, for every call.
    """
    now = f"{time.time_ns() // 1_000_000:012x}"
    head = f"{now[:8]}-{now[8:]}-7"
    chance = os.urandom(_BYTES * count).hex()
    ids = []
    for at in range(0, len(chance), 2 * _BYTES):
        some = chance[at : at + 2 * _BYTES]
        ids.append(f"{head}{some[:3]}-{_VARIANT[some[3]]}{some[4:7]}-{some[7:19]}")
    return ids
