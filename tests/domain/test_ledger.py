"""Entries add up the same in any order, and each kind does what it says."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.ledger import (
    CREDIT_OF,
    OVERRUN_BY,
    RESERVED_BY,
    SPENT_BY,
    Balance,
    EntryKind,
    balance,
)

entries = st.lists(st.tuples(st.sampled_from(EntryKind), st.integers(1, 10**12)))


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        (EntryKind.RESERVATION, Balance(reserved_nusd=12, spent_nusd=5, overrun_nusd=4)),
        (EntryKind.RELEASE, Balance(reserved_nusd=8, spent_nusd=5, overrun_nusd=4)),
        (EntryKind.POSTING, Balance(reserved_nusd=8, spent_nusd=7, overrun_nusd=4)),
        (EntryKind.WASTE, Balance(reserved_nusd=8, spent_nusd=7, overrun_nusd=4)),
        (EntryKind.OVERRUN, Balance(reserved_nusd=10, spent_nusd=5, overrun_nusd=6)),
        (EntryKind.POSTING_CREDIT, Balance(reserved_nusd=10, spent_nusd=3, overrun_nusd=4)),
        (EntryKind.WASTE_CREDIT, Balance(reserved_nusd=10, spent_nusd=3, overrun_nusd=4)),
        (EntryKind.OVERRUN_CREDIT, Balance(reserved_nusd=10, spent_nusd=5, overrun_nusd=2)),
    ],
)
def test_each_kind_moves_what_it_says(kind: EntryKind, after: Balance) -> None:
    assert Balance(reserved_nusd=10, spent_nusd=5, overrun_nusd=4).after(kind, 2) == after


def test_every_kind_says_what_it_moves() -> None:
    assert {*RESERVED_BY, *SPENT_BY, *OVERRUN_BY} == set(EntryKind)


@pytest.mark.parametrize(("kind", "credit"), CREDIT_OF.items())
def test_a_credit_takes_back_what_was_spent_and_sets_nothing_aside(
    kind: EntryKind, credit: EntryKind
) -> None:
    after = balance([(kind, 3), (credit, 3)])

    assert (after.spent_nusd, after.overrun_nusd) == (0, 0)
    assert after.reserved_nusd == RESERVED_BY.get(kind, 0) * 3


@given(entries, st.randoms(use_true_random=False))
def test_the_order_of_entries_is_no_difference(
    listed: list[tuple[EntryKind, int]], chance: random.Random
) -> None:
    shuffled = list(listed)
    chance.shuffle(shuffled)

    assert balance(shuffled) == balance(listed)


@given(entries)
def test_what_is_used_and_owed_is_what_was_set_aside_less_what_was_given_back(
    listed: list[tuple[EntryKind, int]],
) -> None:
    total = balance(listed)
    sums = {kind: sum(nusd for one, nusd in listed if one is kind) for kind in EntryKind}

    used_nusd = total.reserved_nusd + total.spent_nusd
    credited_nusd = sums[EntryKind.POSTING_CREDIT] + sums[EntryKind.WASTE_CREDIT]
    assert used_nusd == sums[EntryKind.RESERVATION] - sums[EntryKind.RELEASE] - credited_nusd
    assert total.overrun_nusd == sums[EntryKind.OVERRUN] - sums[EntryKind.OVERRUN_CREDIT]
