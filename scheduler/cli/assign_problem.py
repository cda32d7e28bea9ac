"""Estimates and limits, as a problem for the solver."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scheduler.cli.assign_reading import BadEstimates, Estimates, numbers, nusd_up, read_table
from scheduler.domain.plan import PPM
from scheduler.optimise.problem import COST, QUALITY, BadProblem, Objective, Problem, Row, RowKind

BUDGET = "budget"
FLOOR = "floor"
GROUP = "group/"


def group_budgets(path: Path, estimates: Estimates) -> dict[int, int]:
    """Budgets in nUSD, by group number, from a file with the columns `group, budget_usd`.

    Raises:
        BadEstimates: it names a group that no item is in, or one twice, or no amount.
    """
    table = read_table(path, ("group", "budget_usd"))
    amounts = nusd_up(numbers(path, table, "budget_usd", least=0.0, most=4e9))
    known = {name: number for number, name in enumerate(estimates.groups)}
    budgets: dict[int, int] = {}
    for row, name in enumerate(table.column("group").to_pylist()):
        group = known.get("" if name is None else str(name))
        if group is None:
            raise BadEstimates(path, f"no item is in group {name}", row=row + 1)
        if group in budgets:
            raise BadEstimates(path, f"group {name} is there a second time", row=row + 1)
        budgets[group] = int(amounts[row])
    return budgets


def problem_of(
    estimates: Estimates,
    *,
    objective: Objective,
    budget_nusd: int | None,
    floor: float | None,
    budgets: Mapping[int, int],
) -> Problem:
    """The problem: best quality, or least cost with every item served that can be.

    Raises:
        BadProblem: a floor was asked for, and an estimate is below zero.
    """
    rows = []
    if budget_nusd is not None:
        rows.append(Row(name=BUDGET, measure=COST, limit=budget_nusd))
    for group, limit in sorted(budgets.items()):
        name = f"{GROUP}{estimates.groups[group]}"
        rows.append(Row(name=name, measure=COST, limit=limit, groups=(group,)))
    if floor is not None:
        limit = int(np.ceil(floor * PPM))
        rows.append(Row(name=FLOOR, measure=QUALITY, limit=limit, kind=RowKind.MEAN_LEAST))
        if estimates.quality.min(initial=0.0) < 0:
            raise BadProblem("quality", "is negative for some item, and a floor needs 0 or more")
    deferral = None
    if objective is Objective.COST:
        # Waiting would cost least of all; so whatever can be served must be.
        served = estimates.eligible.any(axis=1)
        deferral = np.where(served, -np.inf, 0.0).astype(np.float32)
    return Problem(
        values=estimates.quality,
        measures={COST: estimates.cost_nusd},
        groups=estimates.group,
        rows=tuple(rows),
        eligible=None if estimates.eligible.all() else estimates.eligible,
        deferral_values=deferral,
        objective=objective,
    )
