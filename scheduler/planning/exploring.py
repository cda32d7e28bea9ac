"""A share of a window goes to offers of which little is known, so that learning never stops."""

from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from scheduler.domain.job import Task
from scheduler.domain.plan import Row, RowKind
from scheduler.domain.policy import PlanPolicy
from scheduler.estimate.quality import Predictor
from scheduler.optimise.problem import Problem
from scheduler.optimise.result import Result
from scheduler.optimise.solve import solve
from scheduler.planning.options import PPM, Options
from scheduler.planning.problem import Case
from scheduler.store.windows import TASKS

logger = structlog.get_logger(__name__)

EXPLORED = "explored"
"""The measure of the exploration row: 1 for an option of whose offer little is known."""

TRIES, FEWER = 3, 4
"""How often a plan with exploration is tried, each time with a quarter of the jobs."""


def explored(
    case: Case, plain: Result, *, predictor: Predictor, policy: PlanPolicy
) -> tuple[Case, Result]:
    """*case* and its plan with an exploration row, or unchanged where there cannot be one.

    Every other rule of the case stays as it is: exploring jobs keep their budgets, their rate
    limits and their own minimum of quality.  The row is left out where nothing or everything
    is little known, where the window is too small for one job of the share, and where the
    plan would lose more than the same share of what the *plain* plan is worth.
    """
    unknown = little_known(case.options, predictor, below=policy.explore_below)
    measure = (unknown[case.window.task] & case.allowed.eligible).astype(np.int8)
    wanted = _jobs(case, measure, share_ppm=policy.explore_ppm)
    least_value = plain.value - abs(plain.value) * policy.explore_ppm / PPM
    for _ in range(TRIES):
        if not wanted:
            break
        problem = _with_row(case.problem, measure, wanted)
        solved = solve(problem, seed=policy.seed, time_limit_s=policy.solve_s)
        if solved.has_plan and solved.value >= least_value:
            return replace(case, problem=problem), solved
        logger.info("too dear to explore", jobs=wanted, status=str(solved.status))
        wanted //= FEWER
    return case, plain


def little_known(options: Options, predictor: Predictor, *, below: int) -> NDArray[np.bool_]:
    """(T, m) whether *predictor* has learned from fewer than *below* outcomes, by task."""
    found = np.ones((len(TASKS), len(options.offers)), np.bool_)
    for t, task in enumerate(TASKS):
        model = predictor.tasks.get(task)
        counts = {} if model is None else dict(zip(model.offers, model.counts, strict=True))
        found[t] = [counts.get(one.offer.name, 0) < below for one in options.offers]
    # A judge's own answers are not judged, so nothing would be learned from sending it more.
    found[TASKS.index(Task.JUDGE)] = False
    return found[:, options.offer_of]


def _jobs(case: Case, measure: NDArray[np.int8], *, share_ppm: int) -> int:
    """How many jobs are to explore."""
    known = case.allowed.eligible & (measure == 0)
    if not known.any():
        # Every plan explores, whatever it chooses.
        return 0
    servable = int(case.allowed.eligible.any(1).sum())
    return min(servable * share_ppm // PPM, int(measure.any(1).sum()))


def _with_row(problem: Problem, measure: NDArray[np.int8], least: int) -> Problem:
    row = Row(name="exploration", measure=EXPLORED, limit=least, kind=RowKind.LEAST)
    return replace(
        problem, measures={**problem.measures, EXPLORED: measure}, rows=(*problem.rows, row)
    )
