"""What a request costs, and what cannot be an offer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.money import PUSD_PER_NUSD
from scheduler.domain.offer import Offer

tokens = st.integers(0, 2_000_000)
prices = st.integers(0, 100_000_000)


def offer(**fields: Any) -> Offer:
    usual = {
        "name": "p/m", "provider": "p", "model": "m", "input_price": 1, "output_price": 1,
        "requests_per_minute": 1, "tokens_per_minute": 1, "context_limit": 1, "output_limit": 1,
        "concurrency": 1,
    }  # fmt: skip
    return Offer(**usual | fields)


@given(tokens, tokens, prices, prices, prices)
def test_rounding_never_favours_the_buyer_nor_adds_a_whole_unit(
    input_tokens: int, output_tokens: int, input_price: int, output_price: int, request_price: int
) -> None:
    sold = offer(input_price=input_price, output_price=output_price, request_price=request_price)

    cost_nusd = sold.cost_nusd(input_tokens=input_tokens, output_tokens=output_tokens)

    exact_pusd = request_price + input_tokens * input_price + output_tokens * output_price
    assert 0 <= cost_nusd * PUSD_PER_NUSD - exact_pusd < PUSD_PER_NUSD


def test_what_is_free_costs_nothing() -> None:
    free = offer(input_price=0, output_price=0)

    assert free.cost_nusd(input_tokens=1_000_000, output_tokens=1_000_000) == 0


@pytest.mark.parametrize("price", ["input_price", "output_price", "request_price"])
def test_no_price_is_negative(price: str) -> None:
    with pytest.raises(ValueError, match="p/m: a price is negative"):
        offer(**{price: -1})


@pytest.mark.parametrize(
    "limit",
    ["requests_per_minute", "tokens_per_minute", "context_limit", "output_limit", "concurrency"],
)
def test_every_limit_lets_something_through(limit: str) -> None:
    with pytest.raises(ValueError, match=f"p/m: {limit} must be positive"):
        offer(**{limit: 0})
