"""The solve: the best plan for a window, with a bound on how much better any could be."""

import time
from collections.abc import Callable

from scheduler.optimise.problem import Problem
from scheduler.optimise.result import Result

__all__ = ["solve"]


def solve(
    problem: Problem,
    *,
    seed: int,
    time_limit_s: float,
    gap: float = 2e-3,
    alternatives: int = 0,
    threads: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Result:
    """Choose an option for every job of *problem*, or defer it.

    The same problem and seed give the same plan on any number of threads, unless the time
    limit cuts the work short.  An infeasible problem is an answer and not an error.

    Args:
        seed: for the samples that prices start from.
        time_limit_s: when to stop improving; the first plan is always finished.
        gap: a plan whose gap is above this is sent to CP-SAT, if small enough for it.
        alternatives: how many next best options to return for each job.
        threads: how many cores to use; all that this process may, unless told.
        clock: seconds, ever rising.

    Raises:
        BadProblem: columns do not fit together, or hold NaN; it names which and where.
    """
    # Compiled code and solvers take a second to load, and most commands never plan.
    from scheduler.optimise.engine import run

    return run(
        problem,
        seed=seed,
        time_limit_s=time_limit_s,
        gap=gap,
        alternatives=alternatives,
        threads=threads,
        clock=clock,
    )
