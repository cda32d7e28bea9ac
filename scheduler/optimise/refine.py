"""The last digits of the prices: a linear program over the jobs whose choice is unclear.

Near the least of the dual only a few moves matter: those that cost nearly nothing at the
prices of the moment.  The master (Kelley's cutting planes, with each unclear job's cuts kept
apart) tells where the prices should be, within a trusted distance; a pass over all jobs then
tells whether that was true.
"""

from collections.abc import Callable

import numpy as np

from scheduler.optimise.dual import Dual, Point
from scheduler.optimise.kernels import Floats, Indices, Wholes
from scheduler.optimise.master import solve_master
from scheduler.optimise.unclear import Unclear, cheap_moves, shifts_of, unclear_jobs

ROUNDS = 12
MOVES_MOST = 600
UNCLEAR_MOST = 2048
FAR = 10.0
"""At this many jobs, squared, prices are first trusted to be off by no more than themselves."""


def refine(
    dual: Dual, best: Point, *, scales: Floats, enough: float, timely: Callable[[], bool]
) -> tuple[Point, Indices]:
    """Prices at which the dual is least, or as near as *enough* (relative) and time allow.

    Also returns the choice (n,) that the last program makes at them, its shares rounded.
    """
    bounds = np.abs(np.array(dual.rows.bounds, np.float64))
    size = max(abs(best.bound), float(best.prices @ bounds), 1e-300)
    # The more jobs there are, the nearer are prices already to where they should be.
    near = min(1.0, FAR / np.sqrt(dual.columns.n))
    trusted = near * np.maximum(best.prices, 0.05 * size / scales)
    count = 50 + 4 * dual.rows.count
    choice = best.priced.choice
    for _ in range(ROUNDS):
        if not timely():
            break
        unclear = unclear_jobs(dual, best, scales=scales, count=UNCLEAR_MOST)
        job, option, losses = useful_moves(unclear, min(count, MOVES_MOST))
        program = solve_master(unclear, best, job, option, losses, trusted)
        choice = unclear.plan(best.priced.choice, program.rounded(unclear, job, option))
        if program.promised <= enough * size:
            break
        point = dual.at(np.maximum(0.0, best.prices + program.change))
        gained = best.bound - point.bound
        if gained > 0.0:
            best, choice = point, point.priced.choice
        if gained > 0.9 * program.promised:
            trusted = trusted * 3.0
        if gained < 0.5 * program.promised:
            # The jobs left out moved too: trust less, and look at more of them.
            trusted = trusted * 0.3
            count *= 2
    return best, choice


def useful_moves(unclear: Unclear, count: int) -> tuple[Wholes, Wholes, Floats]:
    """The *count* moves that lose least among those that change some row's sum.

    Where options are alike, most moves lose nothing and do nothing.
    """
    job, option, losses = cheap_moves(unclear, 8 * count)
    changing = np.flatnonzero(shifts_of(unclear, job, option).any(axis=1))
    if len(changing) > count:
        kept = np.argsort(losses[changing], kind="stable")[:count]
        changing = np.sort(changing[kept])
    return job[changing], option[changing], losses[changing]
