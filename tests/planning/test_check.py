"""A plan that breaks a rule is stopped before it is written."""

import numpy as np
import pytest

from scheduler.domain.plan import Row
from scheduler.optimise.problem import Problem
from scheduler.planning.check import PlanBroken, check_plan

PROBLEM = Problem(
    values=np.ones((2, 2), np.float32),
    measures={"cost_nusd": np.array([[5, 1], [6, 1]])},
    groups=np.zeros(2, np.int32),
    rows=(Row(name="acme", measure="cost_nusd", limit=10),),
    eligible=np.array([[True, True], [True, False]]),
)


def test_a_plan_that_costs_more_than_a_budget_has_is_not_committed() -> None:
    check_plan(PROBLEM, np.array([0, -1], np.int32))
    with pytest.raises(PlanBroken, match="acme by 1"):
        check_plan(PROBLEM, np.array([0, 0], np.int32))


def test_a_plan_that_gives_a_job_what_it_may_not_have_is_not_committed() -> None:
    check_plan(PROBLEM, np.array([1, 0], np.int32))
    with pytest.raises(PlanBroken, match="job 1 by 1"):
        check_plan(PROBLEM, np.array([1, 1], np.int32))
