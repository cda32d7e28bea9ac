"""The solve on small problems, against every plan there is; and what it says about its plan."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.plan import violations
from scheduler.optimise.problem import Objective, Problem, Row, RowKind
from scheduler.optimise.result import Result, Status
from scheduler.optimise.solve import solve
from tests.optimise.problems import best_by_trying_all, random_problem, worth

USD = 1_000_000_000


def solved(problem: Problem, **options: Any) -> Result:
    return solve(problem, **{"seed": 0, "time_limit_s": 20.0, "gap": 1e-9} | options)


def assert_best(problem: Problem) -> None:
    """What `solve` answers is what trying every plan finds."""
    best = best_by_trying_all(problem)
    result = solved(problem)
    if best is None:
        assert result.status is Status.INFEASIBLE
        assert result.conflict
        return
    assert result.has_plan
    assert violations(problem, result.choice.tolist()) == ()
    assert result.value == pytest.approx(worth(problem, result.choice.tolist()), abs=1e-9)
    assert result.value == pytest.approx(best, abs=1e-7)
    assert result.bound >= best - 1e-12


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 4), st.integers(1, 3), st.integers(1, 6))
def test_no_plan_of_a_small_problem_is_better(
    seed: int, jobs: int, options: int, rows: int
) -> None:
    assert_best(random_problem(seed, jobs=jobs, options=options, rows=rows))


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("seed", range(6))
def test_no_plan_is_better_whatever_is_wanted(objective: Objective, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(
        seed,
        jobs=4,
        options=3,
        rows=2,
        objective=objective,
        gains=rng.random(4).astype(np.float32),
        losses=rng.random(4).astype(np.float32),
    )

    assert_best(problem)


@pytest.mark.parametrize("seed", range(8))
def test_jobs_that_must_be_served_are(seed: int) -> None:
    must = np.array([-np.inf, 0, -np.inf, 0], np.float32)
    problem = random_problem(seed, jobs=4, options=3, rows=2, deferral_values=must, pinned=None)

    assert_best(problem)


@pytest.mark.parametrize("seed", range(8))
def test_no_job_gets_less_than_its_least_quality(seed: int) -> None:
    floors = np.array([0.2, 0.5, 0.7, 0.9], np.float32)
    problem = random_problem(seed, jobs=4, options=3, rows=2, min_quality=floors)

    assert_best(problem)


def two_by_two(rows: tuple[Row, ...] = (), **columns: Any) -> Problem:
    """Two jobs: a cheap option that is worth 0.5 for 1 USD, and a dear one, 0.9 for 3 USD."""
    return Problem(
        values=np.array([[0.5, 0.9], [0.5, 0.9]], np.float32),
        measures={"cost_nusd": np.array([[USD, 3 * USD]])},
        rows=rows,
        **columns,
    )


def row(kind: RowKind, limit: int, measure: str = "cost_nusd", **reach: Any) -> Row:
    return Row(name="it", measure=measure, limit=limit, kind=kind, **reach)


@pytest.mark.parametrize(
    ("limit", "choice"),
    [
        (row(RowKind.MOST, 6 * USD), [1, 1]),
        (row(RowKind.MOST, 6 * USD - 1), [0, 1]),
        (row(RowKind.MOST, 0), [-1, -1]),
        (row(RowKind.LEAST, 2, "requests", options=(0,)), [0, 0]),
        (row(RowKind.LEAST, 1, "requests", options=(0,)), [0, 1]),
        (row(RowKind.SHARE_MOST, 500_000, "requests", options=(1,)), [0, 1]),
        (row(RowKind.SHARE_MOST, 499_999, "requests", options=(1,)), [0, 0]),
        (row(RowKind.SHARE_LEAST, 500_000, "requests", options=(0,)), [0, 1]),
        (row(RowKind.SHARE_LEAST, 500_001, "requests", options=(0,)), [0, 0]),
        (row(RowKind.MEAN_MOST, 2 * USD), [0, 1]),
        (row(RowKind.MEAN_MOST, 2 * USD - 1), [0, 0]),
        (row(RowKind.ALL_OR_NOTHING, 2, "requests", options=(1,)), [1, 1]),
        (row(RowKind.ALL_OR_NOTHING, 3, "requests", options=(1,)), [0, 0]),
    ],
)
def test_a_row_binds_exactly_at_its_limit(limit: Row, choice: list[int]) -> None:
    result = solved(two_by_two((limit,)))

    assert sorted(result.choice.tolist()) == choice
    assert result.status is Status.OPTIMAL


def test_where_a_batch_is_not_sent_what_uses_nothing_of_it_may_stay() -> None:
    batch = Row(name="batch", measure="tokens", limit=100, kind=RowKind.ALL_OR_NOTHING)
    problem = Problem(
        values=np.array([[0.8], [0.9]], np.float32),
        measures={"tokens": np.array([[0], [10]])},
        rows=(batch,),
    )

    assert_best(problem)
    assert solved(problem).choice.tolist() == [0, -1]


def test_a_mean_floor_defers_what_would_pull_the_mean_down() -> None:
    budget = Row(name="budget", measure="cost_nusd", limit=4 * USD)
    floor = Row(name="floor", measure="quality_ppm", limit=890_000, kind=RowKind.MEAN_LEAST)

    assert sorted(solved(two_by_two((budget,))).choice.tolist()) == [0, 1]
    assert sorted(solved(two_by_two((budget, floor))).choice.tolist()) == [-1, 1]


def test_a_price_is_what_one_more_unit_buys() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((4000, 5)).astype(np.float32)
    costs = rng.integers(USD // 100, USD, (4000, 5))
    budget = Row(name="team/legal", measure="cost_nusd", limit=300 * USD)
    problem = Problem(values=values, measures={"cost_nusd": costs}, rows=(budget,))

    before = solved(problem)
    more = solved(replace(problem, rows=(replace(budget, limit=301 * USD),)))

    bought = more.value - before.value
    assert before.rows[0].price * USD == pytest.approx(bought, rel=0.05)
    assert before.rows[0].plain == (
        f"one more dollar in team/legal buys {before.rows[0].price * USD:.4g} of value"
    )


def test_a_row_that_does_not_bind_has_no_price() -> None:
    result = solved(two_by_two((row(RowKind.MOST, 7 * USD),)))

    assert (result.rows[0].price, result.rows[0].slack, result.rows[0].use) == (0, USD, 6 * USD)
    assert "does not bind" in result.rows[0].plain


def test_next_best_options_come_with_what_they_lose() -> None:
    result = solved(two_by_two(), alternatives=2)

    assert result.alternatives is not None
    assert result.alternatives.options.tolist() == [[0, -1], [0, -1]]
    assert result.alternatives.regret[:, 0].tolist() == pytest.approx([0.4, 0.4])
    assert np.isinf(result.alternatives.regret[:, 1]).all()


def test_an_infeasible_problem_names_its_rows_and_the_least_that_would_help() -> None:
    budget = Row(name="budget", measure="cost_nusd", limit=3 * USD)
    floor = Row(name="served", measure="requests", limit=2, options=(1,), kind=RowKind.LEAST)
    spare = Row(name="spare", measure="requests", limit=10)

    result = solved(two_by_two((budget, floor, spare)))

    assert result.status is Status.INFEASIBLE
    assert not result.has_plan
    assert {each.rule for each in result.conflict} == {"budget", "served"}
    relaxed = {each.rule: each.amount for each in result.conflict}
    rows = (
        replace(budget, limit=budget.limit + relaxed["budget"]),
        replace(floor, limit=floor.limit - relaxed["served"]),
        spare,
    )
    assert solved(two_by_two(rows)).has_plan


def test_a_job_that_nothing_may_serve_is_named() -> None:
    must = np.array([0, -np.inf], np.float32)
    eligible = np.array([[True, True], [False, False]])

    result = solved(two_by_two(deferral_values=must, eligible=eligible))

    assert result.status is Status.INFEASIBLE
    assert [each.rule for each in result.conflict] == ["job 1"]


def test_the_plan_does_not_depend_on_how_many_threads_there_are() -> None:
    rng = np.random.default_rng(0)
    jobs = 20_000
    problem = Problem(
        values=rng.random((jobs, 12)).astype(np.float32),
        measures={"cost_nusd": rng.integers(1, USD, (jobs, 12))},
        groups=rng.integers(0, 3, jobs).astype(np.int32),
        rows=(
            Row(name="all", measure="cost_nusd", limit=jobs * USD // 20),
            Row(name="one", measure="cost_nusd", limit=jobs * USD // 100, groups=(1,)),
        ),
    )

    one, three = (solved(problem, threads=threads, gap=1e-3) for threads in (1, 3))

    assert (one.choice == three.choice).all()
    assert (one.value, one.bound, one.passes) == (three.value, three.bound, three.passes)
    assert [use.price for use in one.rows] == [use.price for use in three.rows]


def test_a_value_never_exceeds_its_bound() -> None:
    result = solved(random_problem(7, jobs=300, options=6, rows=5))

    assert result.value <= result.bound
    assert math.isclose(result.gap, (result.bound - result.value) / result.bound, abs_tol=1e-9)
