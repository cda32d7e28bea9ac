"""What an answer is worth."""

import numpy as np
import pytest

from scheduler.estimate.value import (
    break_even,
    dearer_from,
    earnings_usd,
    net_savings_usd,
    return_on_cost,
)


def test_at_the_break_even_probability_nothing_is_earned() -> None:
    cost = np.array([0.0, 0.01, 0.2])
    p = break_even(gain_usd=1.0, loss_usd=0.5, cost_usd=cost)

    np.testing.assert_allclose(
        earnings_usd(p, gain_usd=1.0, loss_usd=0.5, cost_usd=cost), 0, atol=1e-12
    )


def test_the_dearer_offer_is_worth_it_from_its_difference_in_probability() -> None:
    more = dearer_from(gain_usd=2.0, loss_usd=1.0, cheap_cost_usd=0.01, dear_cost_usd=0.31)
    p = np.array([0.5, 0.5 + more])

    cheap, dear = earnings_usd(p, gain_usd=2.0, loss_usd=1.0, cost_usd=np.array([0.01, 0.31]))

    assert cheap == pytest.approx(dear)


def test_an_answer_that_costs_nothing_has_an_infinite_return() -> None:
    earned = return_on_cost(np.array([0.9, 0.1]), gain_usd=1.0, loss_usd=1.0, cost_usd=np.zeros(2))

    assert earned.tolist() == [np.inf, -np.inf]


def test_an_hour_saved_is_worth_the_wage() -> None:
    saved = net_savings_usd(
        np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
        seconds_saved=np.array([3600.0, 1800.0, -60.0]),
        wage_usd_per_hour=60.0,
        cost_usd=np.array([1.0, 1.0]),
    )

    np.testing.assert_allclose(saved, [59.0, -2.0])
