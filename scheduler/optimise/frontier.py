"""The front of cost against value: what each budget would buy."""

from dataclasses import dataclass, replace

import numpy as np

from scheduler.domain.plan import Row
from scheduler.optimise.problem import COST, Objective, Problem
from scheduler.optimise.result import Result
from scheduler.optimise.solve import solve

BUDGET = "frontier budget"
"""The row that a sweep adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """One plan on the front.

    Attributes:
        cost_nusd: what it costs.
        value: what it is worth.
        bound: no plan at that cost is worth more.
    """

    cost_nusd: int
    value: float
    bound: float
    result: Result


def frontier(
    problem: Problem, *, points: int = 20, seed: int = 0, time_limit_s: float = 60.0
) -> tuple[FrontierPoint, ...]:
    """Up to *points* plans from the cheapest to the best, none worse and dearer than another."""
    cheapest = solve(
        replace(problem, objective=Objective.COST), seed=seed, time_limit_s=time_limit_s
    )
    best = solve(problem, seed=seed, time_limit_s=time_limit_s)
    least, most = plan_cost_nusd(problem, cheapest), plan_cost_nusd(problem, best)
    found = []
    for budget in np.linspace(least, most, points).astype(np.int64).tolist():
        row = Row(name=BUDGET, measure=COST, limit=budget)
        result = solve(
            replace(problem, rows=(*problem.rows, row)), seed=seed, time_limit_s=time_limit_s
        )
        if result.has_plan:
            found.append(
                FrontierPoint(
                    cost_nusd=plan_cost_nusd(problem, result),
                    value=result.value,
                    bound=result.bound,
                    result=result,
                )
            )
    return tuple(found)


def plan_cost_nusd(problem: Problem, result: Result) -> int:
    """What the plan in *result* costs."""
    from scheduler.optimise.columns import Columns

    columns = Columns(problem)
    _, used = columns.measure_up(result.choice)
    return int(used[columns.measures.index(COST)].sum())
