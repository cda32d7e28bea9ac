"""Problems at the edges: nothing to choose, nothing to spend, everything alike, or no number."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler.domain.plan import violations
from scheduler.optimise.problem import (
    BadProblem,
    Factors,
    Objective,
    Problem,
    Row,
    RowKind,
    Tariff,
)
from scheduler.optimise.result import Result, Status
from scheduler.optimise.solve import solve

USD = 1_000_000_000


def solved(problem: Problem) -> Result:
    result = solve(problem, seed=0, time_limit_s=20.0)
    assert violations(problem, result.choice.tolist()) == ()
    return result


def budgeted(values: Any, costs: Any, limit: int, **columns: Any) -> Problem:
    return Problem(
        values=np.array(values, np.float32),
        measures={"cost_nusd": np.array(costs, np.int64)},
        rows=(Row(name="budget", measure="cost_nusd", limit=limit),),
        **columns,
    )


def test_one_job() -> None:
    assert solved(budgeted([[0.1, 0.9]], [[1, 2]], 1)).choice.tolist() == [0]
    assert solved(budgeted([[0.1, 0.9]], [[1, 2]], 2)).choice.tolist() == [1]


def test_no_job_at_all() -> None:
    empty = budgeted(np.empty((0, 3)), np.empty((0, 3)), 5)

    result = solved(empty)

    assert (result.status, result.value, result.choice.tolist()) == (Status.OPTIMAL, 0.0, [])


def test_no_eligible_option() -> None:
    problem = budgeted([[0.5, 0.6]], [[1, 1]], 5, eligible=np.zeros((1, 2), np.bool_))

    assert solved(problem).choice.tolist() == [-1]


def test_a_budget_of_zero_buys_what_is_free() -> None:
    assert solved(budgeted([[0.5, 0.6], [0.5, 0.6]], [[0, 1], [1, 1]], 0)).choice.tolist() == [
        0,
        -1,
    ]


def test_options_that_are_all_alike_fill_the_budget() -> None:
    result = solved(budgeted(np.full((50, 4), 0.5), np.full((50, 4), 3), 3 * 20))

    assert np.count_nonzero(result.choice >= 0) == 20
    assert result.status is Status.OPTIMAL


def test_a_budget_that_is_just_enough_is_all_spent() -> None:
    rng = np.random.default_rng(0)
    costs = rng.integers(1, 1000, (200, 1))

    result = solved(budgeted(np.full((200, 1), 0.5), costs, int(costs.sum())))

    assert result.deferred == 0
    assert solved(budgeted(np.full((200, 1), 0.5), costs, int(costs.sum()) - 1)).deferred == 1


def test_enormous_and_tiny_costs_together() -> None:
    # From 1e-9 to 1000 USD in one budget: the cheap are bought, to the last nUSD.
    costs = [[1], [1], [1000 * USD], [2], [1000 * USD]]
    values = [[0.2], [0.2], [0.9], [0.2], [0.9]]

    assert solved(budgeted(values, costs, 4)).choice.tolist() == [0, 0, -1, 0, -1]
    assert solved(budgeted(values, costs, 3)).deferred == 3
    assert solved(budgeted(values, costs, 1000 * USD + 4)).choice.tolist().count(0) == 4


def test_without_any_choice_and_too_little_money_there_is_no_plan() -> None:
    # Nothing to choose between: what prices are measured by is then no size at all.
    forced = Problem(
        values=np.full((6, 1), 0.5, np.float32),
        measures={"cost_nusd": np.array([[0], [10**11], [0], [0], [0], [0]])},
        rows=(
            Row(name="quality", measure="quality_ppm", limit=500_000, kind=RowKind.MOST),
            Row(name="money", measure="cost_nusd", limit=0),
            Row(name="calls", measure="requests", limit=1),
        ),
        weights=np.array([0, 0, 0.46, 1.08, 1.28, 1.79], np.float32),
        deferral_values=np.full(6, -np.inf, np.float32),
    )

    assert solve(forced, seed=0, time_limit_s=20.0).status is Status.INFEASIBLE


def test_a_floor_of_what_all_options_are_worth_is_kept() -> None:
    # 0.9 and 0.57 as float32 are a little less than that.
    for value in (0.9, 0.57):
        problem = Problem(
            values=np.full((5, 1), value, np.float32),
            rows=(
                Row(
                    name="floor",
                    measure="quality_ppm",
                    limit=round(value * 1_000_000),
                    kind=RowKind.MEAN_LEAST,
                ),
            ),
            deferral_values=np.full(5, -np.inf, np.float32),
        )

        assert solved(problem).choice.tolist() == [0] * 5


def test_a_limit_beyond_all_reach_does_not_keep_the_plan_from_being_proven() -> None:
    rng = np.random.default_rng(3)
    costs = rng.integers(100, 1000, (8, 3))
    tight = budgeted(rng.random((8, 3)), costs, 2_000)
    organisation = Row(name="organisation", measure="cost_nusd", limit=10_000_000 * USD)

    result = solved(replace(tight, rows=(*tight.rows, organisation)))

    assert solved(tight).status is Status.OPTIMAL
    assert result.status is Status.OPTIMAL
    assert result.value == solved(tight).value


def test_a_share_of_large_sums_is_kept_to_the_last_unit() -> None:
    # A million times 20 USD in nUSD is more than a float64 holds exactly.
    costs = np.full((4, 2), 10 * USD)
    row = Row(
        name="half", measure="cost_nusd", limit=500_000, kind=RowKind.SHARE_LEAST, options=(0,)
    )
    problem = Problem(
        values=np.array([[0.1, 0.9]] * 4, np.float32), measures={"cost_nusd": costs}, rows=(row,)
    )

    assert sorted(solved(problem).choice.tolist()) == [0, 0, 1, 1]


@pytest.mark.parametrize("jobs", [1, 5, 4000])
def test_a_spread_of_twelve_orders_of_magnitude_still_has_a_small_gap(jobs: int) -> None:
    rng = np.random.default_rng(jobs)
    costs = np.exp(rng.uniform(0, np.log(1e12), (jobs, 6))).astype(np.int64)
    values = rng.random((jobs, 6))

    result = solved(budgeted(values, costs, int(costs.min(axis=1).sum() // 3) + 1))

    assert result.has_plan
    assert result.gap < 1e-3 or jobs < 100


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ("values", budgeted([[0.1, np.nan]], [[1, 1]], 1)),
        ("values", budgeted([[0.1, np.inf]], [[1, 1]], 1)),
        ("measure cost_nusd", budgeted([[0.1, 0.2]], [[1, -1]], 1)),
        ("weights", budgeted([[0.1]], [[1]], 1, weights=np.array([np.nan], np.float32))),
        ("weights", budgeted([[0.1]], [[1]], 1, weights=np.array([-1], np.float32))),
        ("groups", budgeted([[0.1]], [[1]], 1, groups=np.array([-1], np.int32))),
        ("pinned", budgeted([[0.1]], [[1]], 1, pinned=np.array([1], np.int32))),
        ("eligible", budgeted([[0.1]], [[1]], 1, eligible=np.ones((2, 1), np.bool_))),
        (
            "deferral_values",
            budgeted([[0.1]], [[1]], 1, deferral_values=np.array([np.nan], np.float32)),
        ),
        (
            "measure cost_nusd",
            Problem(values=np.ones((1, 1), np.float32), measures={"cost_nusd": np.array([[0.5]])}),
        ),
        ("measure cost_nusd", budgeted([[0.1], [0.1]], [[2**61], [2**61]], 1)),
        ("gains and losses", budgeted([[0.1]], [[1]], 1, objective=Objective.EARNINGS)),
        (
            "row budget",
            Problem(
                values=np.ones((1, 1), np.float32),
                rows=(Row(name="budget", measure="cost_nusd", limit=1),),
            ),
        ),
        (
            "features",
            Problem(
                values=Factors(
                    features=np.full((1, 1), np.nan, np.float32), heads=np.ones((1, 1), np.float32)
                )
            ),
        ),
    ],
)
def test_what_is_no_problem_is_refused_by_name(column: str, problem: Problem) -> None:
    with pytest.raises(BadProblem) as refused:
        solve(problem, seed=0, time_limit_s=1.0)

    assert refused.value.column == column


def test_factors_and_a_tariff_give_the_plan_that_full_arrays_do() -> None:
    rng = np.random.default_rng(1)
    features = rng.random((500, 6)).astype(np.float32)
    heads = rng.random((6, 4)).astype(np.float32) / 6
    counts = rng.integers(1, 4000, (500, 2)).astype(np.int32)
    rates = rng.integers(1, 10**7, (2, 4))
    factored = Problem(
        values=Factors(features=features, heads=heads),
        measures={"cost_nusd": Tariff(counts=counts, rates=rates, divisor=1000)},
        rows=(
            Row(name="budget", measure="cost_nusd", limit=10**9),
            Row(name="floor", measure="quality_ppm", limit=200_000, kind=RowKind.MEAN_LEAST),
        ),
    )
    values = np.zeros((500, 4), np.float32)
    for f in range(6):
        values += features[:, f : f + 1] * heads[f]
    costs = -(-(counts.astype(np.int64) @ rates) // 1000)
    full = Problem(values=values, measures={"cost_nusd": costs}, rows=factored.rows)

    ours, theirs = solved(factored), solved(full)

    assert (ours.choice == theirs.choice).all()
    assert ours.value == theirs.value


@pytest.mark.parametrize("divisor", [1, 3, 1000, 10**6])
def test_a_tariff_is_rounded_up_to_the_unit(divisor: int) -> None:
    rng = np.random.default_rng(divisor)
    counts = rng.integers(0, 3 * divisor + 2, (300, 1)).astype(np.int64)
    tariff = Tariff(counts=counts, rates=np.array([[1, 7]]), divisor=divisor)
    problem = Problem(
        values=np.ones((300, 2), np.float32),
        measures={"cost_nusd": tariff},
        rows=(Row(name="all", measure="cost_nusd", limit=10**12),),
        pinned=np.full(300, 1, np.int32),
    )

    result = solved(problem)

    assert result.rows[0].use == int((-(-7 * counts // divisor)).sum())
