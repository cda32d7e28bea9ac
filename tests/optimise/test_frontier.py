"""The front of cost against value, and single options beside it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from scheduler.domain.plan import Row, violations
from scheduler.optimise.frontier import (
    best_as_cheap_as,
    cheapest_as_good_as,
    frontier,
    single_options,
)
from scheduler.optimise.problem import Problem
from scheduler.optimise.solve import solve
from tests.optimise.problems import linear_optimum


@pytest.fixture(scope="module")
def problem() -> Problem:
    rng = np.random.default_rng(2)
    price = np.array([1.0, 4.0, 9.0, 30.0])
    cost = np.ceil(price * np.exp(rng.normal(14, 0.7, (400, 1)))).astype(np.int64)
    values = np.clip(rng.normal([0.4, 0.55, 0.6, 0.75], 0.15), 0, 1)
    noise = rng.normal(0, 0.12, (400, 4))
    return Problem(
        values=np.clip(values + noise, 0, 1).astype(np.float32), measures={"cost_nusd": cost}
    )


def test_every_point_of_the_front_is_the_best_there_is_for_its_cost(problem: Problem) -> None:
    for point in frontier(problem, points=6):
        row = Row(name="budget", measure="cost_nusd", limit=point.cost_nusd)
        at_that_cost = replace(problem, rows=(row,))

        relaxed = linear_optimum(at_that_cost)

        assert relaxed is not None
        assert violations(at_that_cost, point.choice.tolist()) == ()
        assert point.value == pytest.approx(relaxed, rel=1e-6, abs=1e-6)


def test_the_front_rises_with_every_dollar_and_ever_less_so(problem: Problem) -> None:
    points = frontier(problem, points=12)

    assert len(points) == 12
    slopes = [
        (dear.value - cheap.value) / (dear.cost_nusd - cheap.cost_nusd)
        for cheap, dear in itertools.pairwise(points)
    ]
    assert min(slopes) > 0
    assert slopes == sorted(slopes, reverse=True)


def test_a_front_under_rows_keeps_them(problem: Problem) -> None:
    cap = Row(name="cap", measure="requests", limit=50, options=(3,))
    capped = replace(problem, rows=(cap,))

    for point in frontier(capped, points=5):
        assert violations(capped, point.choice.tolist()) == ()
        assert point.value <= point.bound


@pytest.mark.parametrize("option", range(4))
def test_a_plan_beats_every_single_option_on_its_own_ground(problem: Problem, option: int) -> None:
    single = single_options(problem)[option]

    cheaper = cheapest_as_good_as(problem, option)
    better = best_as_cheap_as(problem, option)

    assert cheaper.has_plan
    assert -cheaper.value * 1e9 <= single.cost_nusd * (1 + 1e-9)
    assert better.value >= single.value - 1e-9


def test_a_single_option_is_what_it_costs_and_gives(problem: Problem) -> None:
    assert isinstance(problem.values, np.ndarray)
    some = np.ones((400, 4), np.bool_)
    some[:100, 2] = False

    single = single_options(replace(problem, eligible=some))[2]

    costs = problem.measures["cost_nusd"]
    assert isinstance(costs, np.ndarray)
    assert single.served == 300
    assert single.cost_nusd == int(costs[100:, 2].sum())
    assert single.value == pytest.approx(float(problem.values[100:, 2].sum(dtype=np.float64)))


def test_the_last_point_is_the_best_plan_without_a_budget(problem: Problem) -> None:
    assert frontier(problem, points=3)[-1].value == pytest.approx(
        solve(problem, seed=0, time_limit_s=5.0).value
    )
