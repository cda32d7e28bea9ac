"""Ids of attempts are UUIDs that sort by the time at which they were made."""

import time
from itertools import pairwise
from uuid import RFC_4122, UUID

from workers.ids import new_ids


def test_they_are_uuids_of_version_7_as_uuids_are_spelled() -> None:
    made = new_ids(1_000)

    assert all(str(UUID(one)) == one for one in made)
    assert {(UUID(one).version, UUID(one).variant) for one in made} == {(7, RFC_4122)}
    assert len(set(made)) == len(made)
    assert new_ids(0) == []


def test_they_begin_with_the_milliseconds_at_which_they_were_made() -> None:
    before = time.time_ns() // 1_000_000
    [one] = new_ids(1)
    after = time.time_ns() // 1_000_000

    assert before <= UUID(one).int >> 80 <= after


def test_all_else_but_the_mark_of_their_kind_is_left_to_chance() -> None:
    made = [UUID(one).int for one in new_ids(1_000)]

    differing = 0
    for one, other in pairwise(made):
        differing |= one ^ other
    fixed = 0xF << 76 | 0x3 << 62
    assert differing & ((1 << 80) - 1) == (1 << 80) - 1 & ~fixed
