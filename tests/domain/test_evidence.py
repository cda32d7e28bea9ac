"""A record's digest depends on every byte of it, and on all that went before."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.evidence import GENESIS, Fault, Record, canonical, digest, first_fault

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
RECORD = Record(stream="s", seq=1, at="2026-01-01T00:00:00.000000+00:00", kind="k", body="{}")


def chained(bodies: list[str]) -> list[tuple[Record, bytes]]:
    before, stored = GENESIS, []
    for seq, body in enumerate(bodies, 1):
        record = replace(RECORD, seq=seq, body=body)
        before = record.digest_after(before)
        stored.append((record, before))
    return stored


@given(json_values)
def test_one_value_has_one_spelling(value: object) -> None:
    assert canonical(value) == canonical(value)
    assert "\n" not in canonical(value)


def test_the_order_of_keys_is_no_difference() -> None:
    assert canonical({"b": 1, "a": [2, {"d": 3, "c": 4}]}) == '{"a":[2,{"c":4,"d":3}],"b":1}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"n": number})


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_only_the_same_parts_have_the_same_digest(one: list[bytes], other: list[bytes]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


@pytest.mark.parametrize(
    "change", [{"stream": "t"}, {"seq": 2}, {"at": "2025"}, {"kind": "l"}, {"body": "[]"}]
)
def test_every_field_is_under_the_digest(change: dict[str, object]) -> None:
    altered = replace(RECORD, **change)  # type: ignore[arg-type]

    assert altered.digest_after(GENESIS) != RECORD.digest_after(GENESIS)


def test_the_digest_is_of_what_went_before_too() -> None:
    assert RECORD.digest_after(GENESIS) != RECORD.digest_after(b"\1" * 32)


def test_a_digest_written_today_is_read_by_every_later_version() -> None:
    assert RECORD.digest_after(GENESIS).hex() == (
        "9a0be7ed9c974db602515fa4c33bd9d68108c507be0c2a0358bd2248d95c9e4e"
    )


def test_a_chain_that_holds_has_no_fault() -> None:
    assert first_fault(chained(["1", "2", "3"])) is None


def test_a_chain_can_be_taken_up_in_the_middle() -> None:
    stored = chained(["1", "2", "3"])

    assert first_fault(stored[1:], after=stored[0][1], seq=1) is None


def test_the_first_fault_is_told() -> None:
    stored = chained(["1", "2", "3", "4"])
    stored[1] = (replace(stored[1][0], body="x"), stored[1][1])
    del stored[2]

    fault = first_fault(stored)

    assert fault == Fault(stream="s", seq=2, reason="the record, or one before it, was altered")


def test_a_gap_is_told() -> None:
    stored = chained(["1", "2", "3"])

    fault = first_fault([stored[0], stored[2]])

    assert fault is not None
    assert (fault.seq, fault.reason) == (2, "record 2 is missing; 3 follows")
