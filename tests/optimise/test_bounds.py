"""The bound is one, and the plan is good: against GLOP, CP-SAT, and the problem's own changes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.plan import violations
from scheduler.optimise.problem import Factors, Objective, Problem, Row, RowKind, Tariff
from scheduler.optimise.result import Result
from scheduler.optimise.solve import solve
from tests.optimise.problems import LINEAR, linear_optimum, random_problem, whole_optimum

INSTANCES = sorted((Path(__file__).parent / "instances").glob("*.json"))


def solved(problem: Problem, gap: float = 1e-3) -> Result:
    return solve(problem, seed=0, time_limit_s=20.0, gap=gap)


def linear_problem(seed: int, jobs: int) -> Problem:
    problem = random_problem(seed, jobs=jobs, options=6, rows=2 + seed % 7, groups=4)
    return replace(problem, rows=tuple(row for row in problem.rows if row.kind in LINEAR))


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_no_lower_than_any_plan_and_no_higher_than_the_relaxation(seed: int) -> None:
    problem = linear_problem(seed, jobs=150)
    relaxed = linear_optimum(problem)

    result = solved(problem)

    if relaxed is None:
        assert not result.has_plan
    else:
        assert result.has_plan
        # Rounding up costs parts in 1e12; GLOP's own tolerance is the larger.
        assert result.bound <= relaxed + 1e-6 * abs(relaxed)
        assert result.value <= relaxed + 1e-6 * abs(relaxed)


@pytest.mark.parametrize("seed", [1, 8, 9, 10, 12, 16, 25])
def test_cpsat_finds_no_better_plan_for_a_few_hundred_jobs(seed: int) -> None:
    problem = linear_problem(seed, jobs=200)
    found = whole_optimum(problem, seconds=3.0)
    assert found is not None
    value, bound = found

    result = solved(problem, gap=1e-6)

    assert result.value >= value - 2e-6 * abs(value)
    assert result.bound >= value - 1e-6
    assert result.value <= bound + 1e-6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 1000))
def test_prices_in_another_currency_change_nothing(seed: int, factor: int) -> None:
    problem = random_problem(seed, jobs=30, options=4, rows=1)
    cost = problem.measures["cost_nusd"]
    assert not isinstance(cost, Tariff)
    dearer = replace(
        problem,
        measures={**problem.measures, "cost_nusd": cost * factor},
        rows=tuple(
            replace(row, limit=row.limit * factor) if row.measure == "cost_nusd" else row
            for row in problem.rows
        ),
    )

    assert solved(dearer, 1e-7).value == pytest.approx(solved(problem, 1e-7).value, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_the_jobs_changes_nothing(seed: int) -> None:
    problem = random_problem(seed, jobs=30, options=4, rows=2)
    order = np.random.default_rng(seed).permutation(30)

    def turned(column: Any) -> Any:
        return column[order] if column is not None and len(column) == 30 else column

    assert not isinstance(problem.values, Factors)
    other = replace(
        problem,
        values=problem.values[order],
        measures={name: turned(measure) for name, measure in problem.measures.items()},
        groups=turned(problem.groups),
        eligible=turned(problem.eligible),
        deferral_values=turned(problem.deferral_values),
        pinned=turned(problem.pinned),
        weights=turned(problem.weights),
    )
    here, there = solved(problem, 1e-7), solved(other, 1e-7)

    assert here.status.value in (there.status.value, "optimal", "feasible")
    if here.has_plan:
        assert there.value == pytest.approx(here.value, rel=1e-6, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 0.95))
def test_a_tighter_budget_never_buys_more(seed: int, part: float) -> None:
    problem = random_problem(seed, jobs=30, options=4, rows=1)
    tighter = tuple(replace(row, limit=int(row.limit * part)) for row in problem.rows)

    wide, tight = solved(problem, 1e-7), solved(replace(problem, rows=tighter), 1e-7)

    assert tight.value <= wide.bound
    assert tight.bound <= wide.bound * (1 + 1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_every_job_twice_with_twice_the_limits_is_worth_at_least_twice(seed: int) -> None:
    problem = random_problem(seed, jobs=20, options=4, rows=1)

    def twice(column: Any) -> Any:
        return None if column is None else np.concatenate([column, column])

    assert not isinstance(problem.values, Factors)
    doubled = replace(
        problem,
        values=twice(problem.values),
        measures={
            name: twice(measure) if len(measure) == 20 else measure  # type: ignore[arg-type]
            for name, measure in problem.measures.items()
        },
        groups=twice(problem.groups),
        eligible=twice(problem.eligible),
        deferral_values=twice(problem.deferral_values),
        pinned=twice(problem.pinned),
        weights=twice(problem.weights),
        rows=tuple(replace(row, limit=2 * row.limit) for row in problem.rows),
    )

    assert solved(doubled, 1e-7).bound >= 2 * solved(problem, 1e-7).value - 1e-9


def instance_of(path: Path) -> tuple[Problem, dict[str, float]]:
    """A saved problem, and the bounds that are known for it."""
    saved = json.loads(path.read_text(encoding="utf-8"))
    problem = Problem(
        values=np.array(saved["values"], np.float32),
        measures={name: np.array(each) for name, each in saved["measures"].items()},
        groups=np.array(saved["groups"], np.int32),
        rows=tuple(
            Row(
                name=row["name"],
                measure=row["measure"],
                limit=row["limit"],
                kind=RowKind(row["kind"]),
                groups=None if row["groups"] is None else tuple(row["groups"]),
                options=None if row["options"] is None else tuple(row["options"]),
            )
            for row in saved["rows"]
        ),
        objective=Objective(saved["objective"]),
    )
    return problem, saved["known"]


@pytest.mark.parametrize("path", INSTANCES, ids=lambda path: path.stem)
def test_a_hard_instance_stays_within_what_is_known(path: Path) -> None:
    problem, known = instance_of(path)

    result = solved(problem)

    assert violations(problem, result.choice.tolist()) == ()
    assert result.value >= known["value"] - known["gap"] * abs(known["value"])
    assert result.value <= known["bound"] + 1e-9 * abs(known["bound"])
    assert result.bound >= known["value"] - 1e-9 * abs(known["value"])


def test_there_are_hard_instances() -> None:
    assert len(INSTANCES) >= 5
