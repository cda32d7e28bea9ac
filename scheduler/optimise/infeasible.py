"""Why there is no plan: the rows that exclude each other, and the least that would help.

Values are set aside, and each row may be broken at a price: what breaking it wholly costs.
The dual of that is a problem of the same shape with prices that may not rise above the
rows' own.  If it is below zero then no plan keeps all rows, and the rows that have a price
are the ones in conflict (Farkas' lemma).
"""

from dataclasses import replace

import numpy as np
from ortools.linear_solver import pywraplp

from scheduler.domain.plan import Row, RowKind
from scheduler.optimise.columns import Columns
from scheduler.optimise.complete import repair
from scheduler.optimise.dual import Dual, Point
from scheduler.optimise.kernels import Floats, Wholes
from scheduler.optimise.problem import Objective, Problem
from scheduler.optimise.result import Relaxation
from scheduler.optimise.rows import FLOORS, Rows, sums
from scheduler.optimise.search import Limits
from scheduler.optimise.unclear import Unclear, unclear_jobs

ROUNDS = 300
PROVEN = -1e-9
CLOSE = 1e-4
JOBS_NAMED = 20
UNCLEAR_MOST = 50_000


def explain(columns: Columns, *, proven: bool, limits: Limits) -> tuple[Relaxation, ...]:
    """Rules in conflict, each with what it would have to give; none where that is not proven.

    *proven*: there is known to be no plan, and only the reason is asked for.
    """
    stuck = unservable(columns)
    if stuck:
        return stuck
    bare = Columns(_without_values(columns.problem), threads=columns.threads)
    firm = tuple(r for r in bare.problem.rows if r.kind is not RowKind.ALL_OR_NOTHING)
    rows = Rows.of(firm, measures=bare.measures, groups=bare.group_count, options=bare.m)
    own = np.zeros((len(bare.measures), bare.group_count, bare.m))
    dual = Dual(columns=bare, rows=rows, own=own, closed=None)
    scales = dual.scales(dual.at(np.zeros(rows.count)))
    point = cheapest_breach(dual, scales, limits)
    if point.bound >= PROVEN and not proven:
        return ()
    unclear = unclear_jobs(dual, point, scales=scales, count=UNCLEAR_MOST)
    repair(unclear)
    return _relaxations(bare, firm, unclear, point, scales)


def unservable(columns: Columns) -> tuple[Relaxation, ...]:
    """Jobs that must be served and have no option."""
    free = columns.price(np.zeros((len(columns.measures), columns.group_count, columns.m)))
    if not free.stuck:
        return ()
    deferral = columns.problem.deferral_values
    assert deferral is not None
    stuck = np.flatnonzero((free.choice < 0) & np.isneginf(deferral))[:JOBS_NAMED]
    return tuple(
        Relaxation(
            rule=f"job {job}",
            amount=1,
            plain=f"job {job} must be served, and no option is allowed for it",
        )
        for job in stuck.tolist()
    )


def _without_values(problem: Problem) -> Problem:
    deferral = problem.deferral_values
    if deferral is not None:
        deferral = np.where(np.isfinite(deferral), np.float32(0), deferral).astype(np.float32)
    return replace(
        problem,
        weights=np.zeros(problem.jobs, np.float32),
        deferral_values=deferral,
        objective=Objective.VALUE,
    )


def cheapest_breach(dual: Dual, scales: Floats, limits: Limits) -> Point:
    """Prices, none above one for a whole scale, at which the dual is least (Kelley, 1960)."""
    count = dual.rows.count
    solver = pywraplp.Solver.CreateSolver("GLOP")
    parts = [solver.NumVar(0, 1, "") for _ in range(count)]
    height = solver.NumVar(-solver.infinity(), solver.infinity(), "")
    solver.Objective().SetCoefficient(height, 1.0)
    solver.Objective().SetMinimization()
    here = np.zeros(count)
    best = dual.at(here)
    point = best
    for _ in range(ROUNDS):
        slope = point.slack / scales
        cut = solver.Constraint(point.bound - float(slope @ here), solver.infinity())
        cut.SetCoefficient(height, 1.0)
        for part, rise in zip(parts, slope.tolist(), strict=True):
            cut.SetCoefficient(part, -rise)
        if solver.Solve() != pywraplp.Solver.OPTIMAL:
            break
        lowest = solver.Objective().Value()
        if best.bound - lowest <= CLOSE * max(abs(lowest), 1e-6) or not limits.timely():
            break
        here = np.clip([part.solution_value() for part in parts], 0.0, 1.0)
        point = dual.at(here / scales)
        if point.bound < best.bound:
            best = point
    return best


def _relaxations(
    bare: Columns, firm: tuple[Row, ...], unclear: Unclear, point: Point, scales: Floats
) -> tuple[Relaxation, ...]:
    """What the least breaking plan breaks, and the rows that hold against it."""
    _, used = bare.measure_up(unclear.plan(point.priced.choice))
    over = unclear.rows.excess(used)
    held = point.prices * scales > 1e-6
    amounts = {
        row.name: _in_units(row, max(0, over[k]), bare.measures, used)
        for k, row in enumerate(firm)
        if over[k] > 0 or held[k]
    }
    if not amounts:
        # The other rows can all be kept, so it is the least sizes that stand in the way.
        for row in bare.problem.rows:
            if row.kind is RowKind.ALL_OR_NOTHING:
                part, _, _ = sums(row, bare.measures, used)
                amounts[row.name] = row.limit - part if 0 < part < row.limit else 0
    return tuple(
        Relaxation(rule=row.name, amount=amounts[row.name], plain=_plain(row, amounts[row.name]))
        for row in bare.problem.rows
        if row.name in amounts
    )


def _in_units(row: Row, over: int, measures: list[str], used: Wholes) -> int:
    """*over*, an excess of weighted sums, as a change of the row's limit; rounded up."""
    _, whole, jobs = sums(row, measures, used)
    match row.kind:
        case RowKind.SHARE_MOST | RowKind.SHARE_LEAST:
            unit = whole
        case RowKind.MEAN_LEAST | RowKind.MEAN_MOST:
            unit = jobs
        case _:
            unit = 1
    return -(-over // max(unit, 1))


def _plain(row: Row, amount: int) -> str:
    if not amount:
        return f"{row.name} ({row.kind} {row.limit} {row.measure}) holds against the others"
    lowered = row.kind in FLOORS or row.kind is RowKind.ALL_OR_NOTHING
    limit = row.limit - amount if lowered else row.limit + amount
    return f"{row.name} would have to go from {row.limit} to {limit} {row.measure}"
