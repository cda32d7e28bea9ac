"""Compiles what a plan runs before the first window waits for it."""

import time
from dataclasses import replace

import numpy as np

from scheduler.domain.plan import Row, RowKind
from scheduler.optimise.problem import REQUESTS, Problem
from scheduler.optimise.solve import solve
from scheduler.planning.exploring import EXPLORED
from scheduler.planning.limits import COST, TOKENS

FEW, MANY = 60, 400
"""Jobs of the made-up windows: few are settled exactly, many by a search of their own."""
OPTIONS = 9


def warm_up() -> float:
    """Plan made-up windows under every kind of limit; how many seconds that took.

    Compiled code is kept on disk (`scheduler.optimise.compiling`).  Where it is there, this
    takes a second; where it is not, as long as the first plan would: half a minute or more.
    """
    started = time.perf_counter()
    few, many = _window(FEW), _window(MANY)
    # The measure of the first limit is read by a loop of its own.
    alone = [replace(few, rows=(row,)) for row in few.rows]
    for problem in (few, many, *alone):
        solve(problem, seed=0, time_limit_s=5.0)
    return time.perf_counter() - started


def _window(jobs: int) -> Problem:
    """A window whose money, rate limits and exploration all bind, in the planner's own types."""
    random = np.random.default_rng(jobs)
    shape = jobs, OPTIONS
    values = random.random(shape, np.float32)
    cost = (values * 1_000 * (1 + random.random(shape))).astype(np.int64)
    explored = np.zeros(shape, np.int8)
    explored[:, -1] = 1
    values[:, -1] /= 4  # else jobs explore without being made to
    rows = (
        Row(name="budget", measure=COST, limit=2 * int(cost.min(1).sum())),
        Row(name="requests", measure=REQUESTS, limit=jobs // 3, options=(0, 1)),
        Row(name="tokens", measure=TOKENS, limit=200 * jobs, options=(2, 3)),
        Row(name="exploration", measure=EXPLORED, limit=jobs // 20, kind=RowKind.LEAST),
    )
    return Problem(
        values=values,
        measures={
            COST: cost,
            TOKENS: random.integers(1, 1_000, shape, np.int32),
            EXPLORED: explored,
        },
        groups=(np.arange(jobs) % 2).astype(np.int32),
        rows=rows,
        eligible=random.random(shape) < 0.9,
        weights=np.ones(jobs, np.float32),
    )
