"""The last digits of the plan: every move that could still pay, tried in every combination.

What a plan is worth falls short of the dual by what its moves lose and by the price of what
the rows have left.  So no plan better than the one in hand makes a move that loses more than
the gap: only the core is left, a few moves of a few jobs, and often all of it can be
searched.  (The core of a knapsack: Balas and Zemel.)
"""

from dataclasses import dataclass

import numpy as np

from scheduler.optimise import moves
from scheduler.optimise.dual import Dual, Point
from scheduler.optimise.kernels import Floats, Indices, Wholes
from scheduler.optimise.unclear import Unclear, cheap_moves, may_bind, runs, shifts_of, unclear_jobs

NODES_MOST = 150_000
MOVES_MOST = 250
EXACT = 2.0**52


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The moves that could be part of a better plan.

    Attributes:
        unclear: the jobs, each at the choice that the prices give it.
        complete: whether these are all such moves, or the cheapest of them.
        job, option, losses: (moves,), sorted by job and then by loss.
        shifts: (moves, rows) float64, exact.
        slack: (rows,) before any move.
        prices: (rows,).
    """

    unclear: Unclear
    complete: bool
    job: Wholes
    option: Wholes
    losses: Floats
    shifts: Floats
    slack: Floats
    prices: Floats


def core_of(dual: Dual, point: Point, *, scales: Floats, gap: float, most: int) -> Core:
    """The moves that lose less than *gap* (in value) at *point*; the cheapest *most* of them."""
    count = min(most, int(np.count_nonzero(point.priced.regret < gap)))
    unclear = unclear_jobs(dual, point, scales=scales, count=max(1, count))
    job, option, losses = cheap_moves(unclear, most + 1)
    inside = losses < gap
    complete = len(job) <= most or not inside.all()
    job, option, losses = job[inside], option[inside], losses[inside]
    order = np.lexsort((losses, job))[:most]
    return Core(
        unclear=unclear,
        complete=complete and count < most,
        job=job[order],
        option=option[order],
        losses=losses[order],
        shifts=shifts_of(unclear, job[order], option[order]),
        slack=point.slack,
        prices=point.prices,
    )


def search(core: Core, *, gap: float) -> tuple[Indices | None, bool]:
    """The plan in *core* that loses least, if that is less than *gap*.

    Returns its jobs' options (m where deferred), or None where there is no such plan, and
    whether every combination was tried.
    """
    binding = may_bind(core.shifts, core.slack, core.prices)
    shifts, slack = core.shifts[:, binding], core.slack[binding]
    prices = core.prices[binding]
    if max(np.abs(shifts).sum(axis=0).max(initial=0.0), np.abs(slack).max(initial=0.0)) > EXACT:
        return None, False
    spans = runs(core.job)
    # The dearest moves are decided first: most of them are soon ruled out.
    spans.sort(key=lambda span: -core.losses[span[0]])
    index = np.array([j for start, end in spans for j in range(start, end)], np.int64)
    begins = np.cumsum([0, *(end - start for start, end in spans)]).astype(np.int64)
    shifts, losses = np.ascontiguousarray(shifts[index]), core.losses[index]
    low = np.zeros((len(spans) + 1, len(slack)))
    high = np.zeros_like(low)
    for j in range(len(spans) - 1, -1, -1):
        own = shifts[begins[j] : begins[j + 1]]
        low[j] = low[j + 1] + np.minimum(0.0, own.min(axis=0))
        high[j] = high[j + 1] + np.maximum(0.0, own.max(axis=0))
    pick = np.full(len(spans), -2, np.int64)
    least, through = moves.search_core(
        begins, losses, shifts, slack, prices, low, high, gap, NODES_MOST, pick
    )
    if least >= gap:
        return None, bool(through)
    chosen = core.unclear.chosen.copy()
    for move in pick[pick >= 0].tolist():
        chosen[core.job[index[move]]] = core.option[index[move]]
    return chosen, bool(through)
