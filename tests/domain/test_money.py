"""Money is whole numbers, and no conversion loses or makes any."""

import doctest
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain import money, offer
from scheduler.domain.money import (
    MOST_NUSD,
    NUSD_PER_USD,
    BadAmount,
    nusd_from_usd,
    usd_from_nusd,
    usd_text,
)

amounts = st.integers(0, MOST_NUSD)


@given(amounts)
def test_usd_and_back_is_the_same_amount(amount_nusd: int) -> None:
    assert nusd_from_usd(usd_from_nusd(amount_nusd)) == amount_nusd


@given(amounts)
def test_an_amount_s_text_says_all_of_it(amount_nusd: int) -> None:
    text = usd_text(amount_nusd)

    assert nusd_from_usd(text.replace(",", "")) == amount_nusd
    assert len(text.partition(".")[2]) >= 2
    assert usd_text(-amount_nusd) == (f"-{text}" if amount_nusd else text)


@given(st.decimals(0, 1_000_000, places=15))
def test_what_no_nano_dollar_can_say_is_rounded_up(usd: Decimal) -> None:
    assert 0 <= nusd_from_usd(usd) - usd * NUSD_PER_USD < 1


@pytest.mark.parametrize(
    ("written", "nusd"),
    [("5", 5 * NUSD_PER_USD), (" $0.25 ", 250_000_000), ("1e-9", 1), (0.1, 100_000_000), (0, 0)],
)
def test_amounts_are_taken_as_people_write_them(written: str | float, nusd: int) -> None:
    assert nusd_from_usd(written) == nusd


@pytest.mark.parametrize(
    "written", ["", "much", "-1", "nan", "inf", "1,000", "5 USD", str(MOST_NUSD), None]
)
def test_what_is_no_amount_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(BadAmount, match=r"write it like 5 or 0\.25"):
        nusd_from_usd(written)


def test_the_examples_in_the_documentation_hold() -> None:
    for module in (money, offer):
        assert doctest.testmod(module).failed == 0
