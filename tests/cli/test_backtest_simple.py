"""Plans that tell no items apart: the mixture of single models, and what it pays for."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from scheduler.reporting.backtest.run import Settings, run_seeds
from scheduler.reporting.backtest.simple import difference_errors, ladder, mixtures
from scheduler.reporting.backtest.summary import summarized
from tests.cli.test_backtest import made, only

Floats = NDArray[np.float64]
COSTS = np.array([1.0, 2.0, 4.0])
NO_ERRORS = np.zeros((3, 3))


def test_the_ladder_is_the_concave_hull_where_nothing_is_luck() -> None:
    assert ladder(np.array([0.5, 0.55, 0.9]), COSTS, NO_ERRORS) == [0, 2]
    assert ladder(np.array([0.5, 0.8, 0.9]), COSTS, NO_ERRORS) == [0, 1, 2]
    assert ladder(np.array([0.9, 0.8, 0.7]), COSTS, NO_ERRORS) == [0]


def test_a_gain_within_its_error_is_not_paid_for() -> None:
    errors = np.full((3, 3), 0.2) - 0.2 * np.eye(3)

    assert ladder(np.array([0.5, 0.65, 0.69]), COSTS, errors) == [0]
    assert ladder(np.array([0.5, 0.65, 0.75]), COSTS, errors) == [0, 2]


def test_a_model_without_a_cost_is_on_no_ladder() -> None:
    assert ladder(np.array([0.5, 0.6, 0.9]), np.array([1.0, 2.0, np.nan]), NO_ERRORS) == [0, 1]


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


def test_items_of_one_group_stand_or_fall_together() -> None:
    score = np.zeros((80, 2))
    group = np.repeat(np.arange(20), 4)
    score[:, 1] = np.random.default_rng(1).integers(0, 2, 20)[group]

    apart = difference_errors(score, None)[0, 1]
    together = difference_errors(score, group)[0, 1]

    assert together == pytest.approx(2 * apart, rel=0.1)


def test_one_group_says_little_of_the_next() -> None:
    score = np.tile([0.0, 0.05], (400, 1))

    assert difference_errors(score, None)[0, 1] == pytest.approx(0, abs=1e-12)
    assert difference_errors(score, np.zeros(400, np.int64))[0, 1] == pytest.approx(0.1)


def test_models_never_seen_together_are_not_told_apart() -> None:
    score = np.array([[1.0, np.nan], [np.nan, 0.0]] * 10)

    assert difference_errors(score, None)[0, 1] == 0.5


def test_predictions_without_information_leave_a_mixture_of_two_models() -> None:
    data = made(240)
    score = data.score[np.random.default_rng(3).permutation(240)]
    settings = Settings(seeds=1, budgets_usd=(0.3, 0.8, 1.6))
    [plans] = run_seeds(replace(data, score=score), settings)

    assert plans.learned.policy.mixes
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
    assert not only(made(240)).learned.policy.mixes
