"""Small problems and tight residues, exactly: CP-SAT over the moves that could still pay."""

from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from scheduler.optimise.kernels import Floats, Indices, Wholes
from scheduler.optimise.unclear import Unclear, may_bind, runs, shifts_of

VARIABLES_MOST = 20_000
WHOLE_MOST = 2.0**53
"""Rows whose sums stay below this are exact here: as float64, and as CP-SAT's integers."""

OBJECTIVE_MOST = 2**46
"""Losses are rounded to this many steps for the largest plan loss there can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What CP-SAT says about a core.

    Attributes:
        chosen: (s,) the jobs' options, m where deferred; None where it has no plan.
        least_loss: no plan loses less; in value.
        hopeless: there is no plan at all among these moves.
    """

    chosen: Indices | None
    least_loss: float
    hopeless: bool


def settle_exactly(
    unclear: Unclear,
    job: Wholes,
    option: Wholes,
    losses: Floats,
    *,
    slack: Floats,
    prices: Floats,
    seed: int,
    time_limit_s: float,
) -> Answer | None:
    """The plan of least loss that these moves can make; None where they are too large for it.

    A plan's loss is what its moves lose and the price of what its rows have left.  Work is
    limited in CP-SAT's own deterministic time, so that a faster machine finds the same plan.
    """
    if len(job) > VARIABLES_MOST:
        return None
    shifts = shifts_of(unclear, job, option)
    binding = may_bind(shifts, slack, prices)
    shifts, slack, prices = shifts[:, binding], slack[binding], prices[binding]
    if np.abs(shifts).sum(axis=0).max(initial=0) + np.abs(slack).max(initial=0) > WHOLE_MOST:
        return None
    model = cp_model.CpModel()
    picks = [model.new_bool_var("") for _ in range(len(job))]
    for start, end in runs(job):
        model.add_at_most_one(picks[start:end])
    for k in range(len(slack)):
        (where,) = np.nonzero(shifts[:, k])
        terms = cp_model.LinearExpr.weighted_sum(
            [picks[j] for j in where.tolist()], [int(s) for s in shifts[where, k].tolist()]
        )
        model.add(terms <= int(slack[k]))
    # What a move changes in the rows' slack, at their prices, counts with its own loss.
    costs = losses - shifts @ prices
    base = float(slack @ prices)
    size = float(np.abs(costs).sum()) or 1.0
    step = size / OBJECTIVE_MOST
    whole_costs = [int(c) for c in np.rint(costs / step).tolist()]
    model.minimize(cp_model.LinearExpr.weighted_sum(picks, whole_costs))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed % 2**31
    solver.parameters.max_deterministic_time = time_limit_s
    solver.parameters.max_time_in_seconds = 4 * time_limit_s
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return Answer(chosen=None, least_loss=np.inf, hopeless=True)
    rounding = (len(job) + 1) * step
    least = base + solver.best_objective_bound * step - rounding
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer(chosen=None, least_loss=least, hopeless=False)
    chosen = unclear.chosen.copy()
    for j, pick in enumerate(picks):
        if solver.boolean_value(pick):
            chosen[job[j]] = option[j]
    return Answer(chosen=chosen, least_loss=least, hopeless=False)
