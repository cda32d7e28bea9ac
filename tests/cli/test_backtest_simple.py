"""Plans that tell no items apart: the mixture of single models."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scheduler.reporting.backtest.run import Settings, run_seeds
from scheduler.reporting.backtest.scores import Single, mixture
from scheduler.reporting.backtest.simple import best_mixtures, ladder, mixtures
from scheduler.reporting.backtest.summary import summarized
from tests.cli.test_backtest import made, only

Floats = NDArray[np.float64]
COSTS = np.array([1.0, 2.0, 4.0])


def test_the_ladder_is_the_concave_hull() -> None:
    assert ladder(np.array([0.5, 0.55, 0.9]), COSTS) == [0, 2]
    assert ladder(np.array([0.5, 0.8, 0.9]), COSTS) == [0, 1, 2]
    assert ladder(np.array([0.9, 0.8, 0.7]), COSTS) == [0]


def test_a_model_without_a_cost_is_on_no_ladder() -> None:
    assert ladder(np.array([0.5, 0.6, 0.9]), np.array([1.0, 2.0, np.nan])) == [0, 1]


@given(st.integers(0, 10_000))
def test_the_best_mixtures_are_those_that_plans_are_judged_by(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates, cost = rng.random(5), rng.lognormal(0, 1, 5)
    found = [
        Single(model=str(at), quality=rates[at], cost_usd=cost[at], items=1) for at in range(5)
    ]
    spent = rng.uniform(cost.min(), cost.max(), 4)

    value, shares = best_mixtures(rates, cost, spent)

    for at in range(4):
        mixed = mixture(found, spent[at])
        assert mixed is not None
        low, high, share = int(mixed[0]), int(mixed[1]), mixed[2]
        assert value[at] == pytest.approx((1 - share) * rates[low] + share * rates[high])
        assert shares[at].sum() == pytest.approx(1)


def test_a_mixture_below_the_cheapest_model_does_as_many_items_as_are_paid_for() -> None:
    value, shares = best_mixtures(np.array([0.6, 0.9, 0.9]), COSTS, np.array([0.5]))

    assert value[0] == pytest.approx(0.3)
    assert shares[0].tolist() == pytest.approx([0.5, 0, 0])


def test_a_mixture_keeps_every_budget_and_moves_no_item_down() -> None:
    rng = np.random.default_rng(0)
    cost = np.outer(rng.lognormal(0, 1, 50), COSTS)
    budgets = np.geomspace(cost[:, 0].sum() / 2, cost[:, 2].sum() * 1.1, 12).tolist()

    plans = mixtures([0, 2], cost, budgets_usd=budgets, seed=0)

    for budget, plan in zip(budgets, plans, strict=True):
        spent = cost[np.arange(50), plan][plan >= 0].sum()
        assert spent <= budget * (1 + 1e-9)
    assert (np.diff(np.stack(plans), axis=0) >= 0).all()
    assert (plans[0] == -1).any()
    assert (plans[-1] == 2).all()


def test_predictions_without_information_leave_a_mixture_of_two_models() -> None:
    data = made(240)
    score = data.score[np.random.default_rng(3).permutation(240)]
    settings = Settings(seeds=1, budgets_usd=(0.3, 0.8, 1.6))
    [plans] = run_seeds(replace(data, score=score), settings)

    assert not plans.learned.tells_apart
    assert all(len(np.unique(plan)) <= 2 for plan in plans.plans)


@pytest.mark.parametrize("cost", [0.0, 0.01])
def test_where_nothing_costs_anything_nothing_is_saved(cost: float) -> None:
    data = made(80)
    flat = replace(data, cost_usd=np.full_like(data.cost_usd, cost))
    [plans] = run_seeds(flat, Settings(seeds=1))
    found = summarized(flat, plans)

    assert all(line.deferred == 0 for line in found.lines)
    assert (found.saving is None) == (cost == 0)


def test_predictions_with_information_are_used() -> None:
    assert only(made(240)).learned.tells_apart
