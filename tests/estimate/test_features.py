"""A document's vector and its byte counts."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scheduler.estimate.bytescan import CLASSES
from scheduler.estimate.features import (
    FEATURES,
    PROJECTED,
    TOKEN_STATS,
    as_stored,
    document_features,
    script_bytes,
)

texts = st.lists(st.text(max_size=200), max_size=8)


@given(texts)
def test_every_byte_is_counted_in_exactly_one_class(several: list[str]) -> None:
    counted = script_bytes(several)[:, :CLASSES].sum(1)

    assert counted.tolist() == [len(text.encode("utf-8", "replace")) for text in several]


@given(texts)
def test_any_text_has_a_finite_vector_of_the_fixed_width(several: list[str]) -> None:
    vectors = document_features(several)

    assert vectors.shape == (len(several), FEATURES)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


@given(texts, st.text(max_size=200))
def test_a_vector_does_not_depend_on_the_documents_beside_it(several: list[str], text: str) -> None:
    alone = document_features([text])[0]
    among = document_features([*several, text])[-1]

    np.testing.assert_array_equal(alone, among)


def test_a_vector_is_the_same_on_every_machine_to_the_last_bit() -> None:
    several = [
        " ".join(f"clause{n % seed} ({n * 7919 % 997}) shall hold" for n in range(40 * seed))
        for seed in range(3, 40)
    ]

    words = document_features(several)[:, :PROJECTED].astype("<f4")

    told = "711f731700afec4ef4dd4b3cb6256320f1ba0e24fc2e60e0e5cfa3781482c63b"
    assert hashlib.sha256(words.tobytes()).hexdigest() == told


@given(hnp.arrays(np.float32, (3, 17), elements=st.floats(-65_504, 65_504, width=32)))
def test_features_are_stored_as_the_nearest_halves(singles: np.ndarray) -> None:
    np.testing.assert_array_equal(as_stored(singles).view("<u2"), singles.astype("<f2").view("<u2"))


def test_a_text_that_is_one_long_word_can_be_stored() -> None:
    assert np.isfinite(as_stored(document_features(["x" * 1_048_576]))).all()


def test_no_documents_give_no_rows() -> None:
    assert document_features([]).shape == (0, FEATURES)
    assert script_bytes([]).shape == (0, TOKEN_STATS)


def test_documents_on_one_subject_are_nearer_than_on_two() -> None:
    law, law_again, food = document_features(
        [
            "the court overrules its earlier decision on the validity of the contract",
            "this court overruled the decision about the contract in an earlier case",
            "stir the onions in butter until golden and add two cups of stock",
        ]
    )[:, :PROJECTED]

    assert law @ law_again > law @ food + 0.1


def like(one: str, other: str) -> float:
    """Cosine of the two texts' n-grams."""
    first, second = document_features([one, other])[:, :PROJECTED]
    return float(first @ second)


def test_case_and_amounts_do_not_move_the_words() -> None:
    assert like("pay 10000 euros now", "PAY 99999 EUROS NOW") > 0.999


def test_a_digit_behind_a_letter_is_part_of_the_name() -> None:
    assert like("B12 B6 A4", "B6 A4 B12") > like("B12 B6 A4", "B13 B7 A5") + 0.3


def test_a_short_number_is_a_name_as_well_as_an_amount() -> None:
    assert like("in 2019 and", "in 2021 and") < 0.95
    assert like("in 20190 and", "in 20211 and") > 0.999


def test_a_script_without_spaces_is_counted_as_its_own() -> None:
    han, latin = script_bytes(["中文文档", "text"])

    assert han.argmax() == 12
    assert latin.argmax() == 0


def test_a_lone_surrogate_is_no_error() -> None:
    assert np.isfinite(document_features(["broken \ud800 text"])).all()
