"""The master: a linear program over a few moves, which tells where prices should go.

What a plan is worth falls short of the dual at some prices by what its moves lose there, and
by the price of what its rows have left.  The program minimises that over shares of moves;
how far its answer lies above zero is how far the dual can still fall, and its own prices are
the way there.  Prices are trusted only so far from where they are, which here is a limit on
what a unit of slack, or of excess, may cost.
"""

from dataclasses import dataclass

import numpy as np
from ortools.linear_solver import pywraplp

from scheduler.optimise.dual import Point
from scheduler.optimise.kernels import Floats, Indices, Wholes
from scheduler.optimise.unclear import Unclear, runs, shifts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The master's answer.

    Attributes:
        promised: how far the dual falls, if only these moves matter.
        change: (rows,) of the prices.
        shares: (moves,) 0 to 1, how much of each move a plan at those prices makes.
    """

    promised: float
    change: Floats
    shares: Floats

    def rounded(self, unclear: Unclear, job: Wholes, option: Wholes) -> Indices:
        """The jobs' options with every move made that has more than half a share."""
        chosen = unclear.chosen.copy()
        made = self.shares > 0.5
        chosen[job[made]] = option[made]
        return chosen


def solve_master(
    unclear: Unclear, point: Point, job: Wholes, option: Wholes, losses: Floats, trusted: Floats
) -> Program:
    """The master over the moves (*job*, *option*, *losses*), about the prices of *point*."""
    scales = unclear.scales
    shifts = shifts_of(unclear, job, option) / scales
    # Numbers near one keep the simplex method's tolerances meaningful.
    unit = float(np.abs(shifts).max(initial=0.0)) or 1.0
    money = max(float(losses.max(initial=0.0)), float((trusted * scales).max(initial=0.0)) * unit)
    money = money or 1.0
    solver = pywraplp.Solver.CreateSolver("GLOP")
    rows = _rows(
        solver,
        slack=point.slack / scales / unit,
        prices=point.prices * scales * unit / money,
        trusted=trusted * scales * unit / money,
    )
    shares = [solver.NumVar(0, 1, "") for _ in job]
    for share, loss in zip(shares, (losses / money).tolist(), strict=True):
        solver.Objective().SetCoefficient(share, loss)
    where, row_of = np.nonzero(shifts)
    entries = (shifts[where, row_of] / unit).tolist()
    for j, k, entry in zip(where.tolist(), row_of.tolist(), entries, strict=True):
        rows[k].SetCoefficient(shares[j], entry)
    _one_move_each(solver, shares, job)
    solver.Objective().SetMinimization()
    if solver.Solve() != pywraplp.Solver.OPTIMAL:
        return Program(promised=0.0, change=np.zeros(len(rows)), shares=np.zeros(len(job)))
    duals = np.array([row.dual_value() for row in rows])
    return Program(
        promised=solver.Objective().Value() * money,
        change=-duals * money / (scales * unit),
        shares=np.array([share.solution_value() for share in shares]),
    )


def _rows(
    solver: pywraplp.Solver, *, slack: Floats, prices: Floats, trusted: Floats
) -> list[pywraplp.Constraint]:
    """`shifts + left - over = slack`, where both are paid for within what is trusted."""
    rows = []
    for each, price, most in zip(slack.tolist(), prices.tolist(), trusted.tolist(), strict=True):
        row = solver.Constraint(each, each)
        left = solver.NumVar(0, solver.infinity(), "")
        over = solver.NumVar(0, solver.infinity(), "")
        row.SetCoefficient(left, 1.0)
        row.SetCoefficient(over, -1.0)
        solver.Objective().SetCoefficient(left, min(price, most))
        solver.Objective().SetCoefficient(over, most)
        rows.append(row)
    return rows


def _one_move_each(solver: pywraplp.Solver, shares: list[pywraplp.Variable], job: Wholes) -> None:
    """Let no job move by more than a whole."""
    for start, end in runs(job):
        if end - start > 1:
            together = solver.Constraint(-solver.infinity(), 1.0)
            for share in shares[start:end]:
                together.SetCoefficient(share, 1.0)
