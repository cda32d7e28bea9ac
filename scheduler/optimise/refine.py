"""The last digits of the prices: a linear program over the jobs whose choice is unclear.

Near the least of the dual only a few moves matter: those that cost nearly nothing at the
prices of the moment.  A linear program over them (Kelley's cutting planes, with each unclear
job's cuts kept apart) tells where the prices should be, within a trusted distance; a pass
over all jobs then tells whether that was true.
"""

import itertools
from collections.abc import Callable

import numpy as np
from ortools.linear_solver import pywraplp

from scheduler.optimise import moves
from scheduler.optimise.complete import Whole, nearest, whole_of
from scheduler.optimise.dual import Dual, Point
from scheduler.optimise.kernels import Floats, Wholes

ROUNDS = 12
MOVES_MOST = 600
UNCLEAR_MOST = 2048
FAR = 10.0
"""At this many jobs, squared, prices are first trusted to be off by no more than themselves."""


def refine(
    dual: Dual, best: Point, *, scales: Floats, enough: float, timely: Callable[[], bool]
) -> Point:
    """Prices at which the dual is least, or as near as *enough* (relative) and time allow."""
    size = max(abs(best.bound), 1e-300)
    # The more jobs there are, the nearer are prices already to where they should be.
    near = min(1.0, FAR / np.sqrt(dual.columns.n))
    trusted = near * np.maximum(best.prices, 0.05 * size / scales)
    count = 50 + 4 * dual.rows.count
    for _ in range(ROUNDS):
        if not timely():
            break
        whole = unclear(dual, best, scales=scales, count=UNCLEAR_MOST)
        job, option, losses = cheap_moves(whole, min(count, MOVES_MOST))
        promised, change = _program(whole, best, job, option, losses, trusted)
        if promised <= enough * size:
            break
        point = dual.at(np.maximum(0.0, best.prices + change))
        gained = best.bound - point.bound
        if gained > 0.0:
            best = point
        if gained > 0.9 * promised:
            trusted = trusted * 3.0
        if gained < 0.5 * promised:
            # The jobs left out moved too: trust less, and look at more of them.
            trusted = trusted * 0.3
            count *= 2
    return best


def unclear(dual: Dual, point: Point, *, scales: Floats, count: int) -> Whole:
    """The *count* jobs whose choice is least clear at *point*, ready to be moved."""
    return whole_of(
        dual.columns.gather(nearest(point.priced.regret, count), closed=dual.closed),
        rows=dual.rows,
        scales=scales,
        table=point.table,
        own=dual.own,
        choice=point.priced.choice,
        used=point.priced.used,
    )


def cheap_moves(whole: Whole, count: int) -> tuple[Wholes, Wholes, Floats]:
    """The *count* moves that lose least at the prices: jobs, options, losses."""
    own = np.take_along_axis(whole.reduced, whole.chosen[:, None], axis=1)
    losses = np.maximum(own - whole.reduced, 0.0)
    np.put_along_axis(losses, whole.chosen[:, None], np.inf, axis=1)
    flat = losses.ravel()
    listed = np.flatnonzero(np.isfinite(flat))
    if len(listed) > count:
        listed = listed[np.argpartition(flat[listed], count)[:count]]
    listed = np.sort(listed)
    job, option = np.divmod(listed, losses.shape[1])
    return job, option, flat[listed]


def shifts_of(whole: Whole, job: Wholes, option: Wholes) -> Floats:
    """(moves, rows) what each move adds to each row's sum."""
    shifts = np.zeros((len(job), whole.rows.count))
    moves.shift_rows(
        job,
        option,
        whole.chosen,
        whole.subset.groups,
        whole.subset.amounts,
        whole.begins,
        whole.entries,
        whole.rows.weight,
        shifts,
    )
    return shifts


def _program(
    whole: Whole, best: Point, job: Wholes, option: Wholes, losses: Floats, trusted: Floats
) -> tuple[float, Floats]:
    """Solve for the moves' shares: how far D should fall, and the prices' change for it."""
    scales = whole.scales
    shifts = shifts_of(whole, job, option) / scales
    # Numbers near one keep the simplex method's tolerances meaningful.
    unit = max(float(np.abs(shifts).max(initial=0.0)), 1e-300)
    money = max(float(losses.max(initial=0.0)), 1e-300)
    solver = pywraplp.Solver.CreateSolver("GLOP")
    objective = solver.Objective()
    slack = best.slack / scales / unit
    rows = [solver.Constraint(each, each) for each in slack.tolist()]
    price = best.prices * scales * unit / money
    trust = trusted * scales * unit / money
    for row, own, most in zip(rows, price.tolist(), trust.tolist(), strict=True):
        left, over = (
            solver.NumVar(0, solver.infinity(), ""),
            solver.NumVar(0, solver.infinity(), ""),
        )
        row.SetCoefficient(left, 1.0)
        row.SetCoefficient(over, -1.0)
        objective.SetCoefficient(left, min(own, most))
        objective.SetCoefficient(over, most)
    shares = [solver.NumVar(0, 1, "") for _ in job]
    for share, loss in zip(shares, (losses / money).tolist(), strict=True):
        objective.SetCoefficient(share, loss)
    where, row_of = np.nonzero(shifts)
    entries = (shifts[where, row_of] / unit).tolist()
    for j, k, entry in zip(where.tolist(), row_of.tolist(), entries, strict=True):
        rows[k].SetCoefficient(shares[j], entry)
    _one_move_each(solver, shares, job)
    objective.SetMinimization()
    if solver.Solve() != pywraplp.Solver.OPTIMAL:
        return 0.0, np.zeros(len(rows))
    duals = np.array([row.dual_value() for row in rows])
    # The program's loss is what plans lose against D here, so D should fall by as much.
    return objective.Value() * money, -duals * money / (scales * unit)


def _one_move_each(solver: pywraplp.Solver, shares: list[pywraplp.Variable], job: Wholes) -> None:
    """Let no job move by more than a whole."""
    for start, end in runs(job):
        if end - start > 1:
            together = solver.Constraint(-solver.infinity(), 1.0)
            for share in shares[start:end]:
                together.SetCoefficient(share, 1.0)


def runs(job: Wholes) -> list[tuple[int, int]]:
    """Where each job's moves start and end, in a list sorted by job."""
    ends = [*np.flatnonzero(np.diff(job, prepend=-1)).tolist(), len(job)]
    return list(itertools.pairwise(ends))
