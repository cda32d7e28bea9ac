"""The plan's last check says what the domain's own says, and stops a broken plan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.plan import Row, violations
from scheduler.optimise.problem import Problem
from scheduler.planning.check import PlanBroken, broken_rules, check_plan

JOBS, OPTIONS, GROUPS = 6, 3, 2


@st.composite
def problems(draw: st.DrawFn) -> tuple[Problem, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    def numbers(low: int, high: int, *shape: int) -> list[int]:
        size = int(np.prod(shape))
        return draw(st.lists(st.integers(low, high), min_size=size, max_size=size))

    rows = tuple(
        Row(
            name=f"row {number}",
            measure=draw(st.sampled_from(["cost_nusd", "tokens", "requests"])),
            limit=draw(st.one_of(st.integers(0, 10), st.integers(0, 2**63))),
            groups=draw(st.sampled_from([None, (0,), (1,), (0, 1)])),
            options=draw(st.sampled_from([None, (0,), (1, 2)])),
        )
        for number in range(draw(st.integers(0, 4)))
    )
    problem = Problem(
        values=np.ones((JOBS, OPTIONS), np.float32),
        measures={
            "cost_nusd": np.array(numbers(0, 2**62, JOBS, OPTIONS)).reshape(JOBS, OPTIONS),
            "tokens": np.array(numbers(0, 5, JOBS, OPTIONS), np.int32).reshape(JOBS, OPTIONS),
        },
        groups=np.array(numbers(0, GROUPS - 1, JOBS), np.int32),
        rows=rows,
        eligible=np.array(numbers(0, 1, JOBS, OPTIONS), np.bool_).reshape(JOBS, OPTIONS),
    )
    return problem, np.array(numbers(-1, OPTIONS - 1, JOBS), np.int32)


@given(problems())
def test_it_finds_what_the_domains_own_check_finds(
    case: tuple[Problem, np.ndarray[tuple[int], np.dtype[np.int32]]],
) -> None:
    problem, choice = case

    assert set(broken_rules(problem, choice)) == set(violations(problem, choice.tolist()))


def test_a_plan_that_costs_more_than_a_budget_has_is_not_committed() -> None:
    problem = Problem(
        values=np.ones((2, 1), np.float32),
        measures={"cost_nusd": np.array([[5], [6]])},
        groups=np.zeros(2, np.int32),
        rows=(Row(name="acme", measure="cost_nusd", limit=10),),
        eligible=np.ones((2, 1), np.bool_),
    )

    check_plan(problem, np.array([0, -1], np.int32))
    with pytest.raises(PlanBroken, match="acme by 1"):
        check_plan(problem, np.array([0, 0], np.int32))
