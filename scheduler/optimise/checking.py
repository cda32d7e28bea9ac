"""Columns that a solve can trust: each is looked through once, and refused by name."""

import numpy as np
from numpy.typing import NDArray

from scheduler.optimise import kernels
from scheduler.optimise.problem import (
    COST,
    QUALITY,
    REQUESTS,
    BadProblem,
    Factors,
    Measure,
    Objective,
    Problem,
    Tariff,
)

MOST_SUMMED = 2**62
"""Sums of a measure stay below this, so that they fit in 64 bits with a bit to spare."""

MOST_LEVIED = 2**53
"""A tariff's amounts before division stay below this: then they are exact as float64."""


def check(problem: Problem) -> None:
    """Refuse *problem* if its columns do not fit together, or hold what is no number.

    Raises:
        BadProblem: it names the column, and the first job where one is at fault.
    """
    _check_values(problem)
    n, m = problem.jobs, problem.options
    for name, column, shape in (
        ("groups", problem.groups, (n,)),
        ("eligible", problem.eligible, (n, m)),
        ("deferral_values", problem.deferral_values, (n,)),
        ("pinned", problem.pinned, (n,)),
        ("min_quality", problem.min_quality, (n,)),
        ("weights", problem.weights, (n,)),
        ("gains", problem.gains, (n,)),
        ("losses", problem.losses, (n,)),
    ):
        if column is not None and column.shape != shape:
            raise BadProblem(name, f"has shape {column.shape}, and {shape} is needed")
    _check_jobs(problem)
    for name, measure in problem.measures.items():
        _check_measure(name, measure, jobs=n, options=m)
    _check_rows(problem)


def _check_values(problem: Problem) -> None:
    values = problem.values
    if isinstance(values, Factors):
        features, heads = values.features, values.heads
        if features.ndim != 2 or heads.ndim != 2 or features.shape[1] != heads.shape[0]:
            raise BadProblem("values", f"features {features.shape} do not meet heads {heads.shape}")
        _check_singles("features", features)
        _check_singles("heads", heads)
    else:
        if values.ndim != 2:
            raise BadProblem("values", f"has shape {values.shape}, and two axes are needed")
        _check_singles("values", values)
    if problem.options > np.iinfo(np.int16).max:
        raise BadProblem("values", f"has {problem.options} options, and 32767 is the most")


def _check_singles(name: str, values: NDArray[np.float32]) -> None:
    if values.dtype != np.float32:
        raise BadProblem(name, f"is {values.dtype}, and float32 is needed")
    job = kernels.first_not_finite(values)
    if job >= 0:
        raise BadProblem(name, f"is not a finite number in row {job}")


def _check_jobs(problem: Problem) -> None:
    deferral, pinned = problem.deferral_values, problem.pinned
    if problem.groups is not None and problem.groups.min(initial=0) < 0:
        raise BadProblem("groups", f"is negative for job {int(problem.groups.argmin())}")
    if deferral is not None:
        wrong = np.flatnonzero(np.isnan(deferral) | (deferral == np.inf))
        if wrong.size:
            raise BadProblem("deferral_values", f"is {deferral[wrong[0]]} for job {wrong[0]}")
    if pinned is not None:
        wrong = np.flatnonzero((pinned < -1) | (pinned >= problem.options))
        if wrong.size:
            raise BadProblem("pinned", f"names no option for job {wrong[0]}")
    for name, column, least in (
        ("min_quality", problem.min_quality, -np.inf),
        ("weights", problem.weights, 0.0),
        ("gains", problem.gains, -np.inf),
        ("losses", problem.losses, -np.inf),
    ):
        if column is not None:
            wrong = np.flatnonzero(~(np.isfinite(column) & (column >= least)))
            if wrong.size:
                raise BadProblem(name, f"is {column[wrong[0]]} for job {wrong[0]}")
    if problem.objective is Objective.EARNINGS and (
        problem.gains is None or problem.losses is None
    ):
        raise BadProblem("gains and losses", "are needed for the objective `earnings`")
    if problem.objective is not Objective.VALUE and COST not in problem.measures:
        raise BadProblem(f"measure {COST}", f"is needed for the objective `{problem.objective}`")


def _check_measure(name: str, measure: Measure, *, jobs: int, options: int) -> None:
    column = f"measure {name}"
    if isinstance(measure, Tariff):
        _check_tariff(column, measure, jobs=jobs, options=options)
        return
    if measure.dtype.kind not in "iu" or measure.dtype == np.uint64:
        raise BadProblem(column, f"is {measure.dtype}, and whole numbers are needed")
    fits = measure.ndim == 2 and measure.shape[0] in (1, jobs) and measure.shape[1] in (1, options)
    if not fits:
        raise BadProblem(column, f"has shape {measure.shape}, and {(jobs, options)} is needed")
    if not measure.size:
        return
    least, greatest = (int(end) for end in kernels.extremes(measure))
    if least < 0:
        job = int(np.flatnonzero((measure < 0).any(axis=1))[0])
        raise BadProblem(column, f"is negative for job {job}")
    if greatest * jobs >= MOST_SUMMED:
        most = np.broadcast_to(measure.max(axis=1), (jobs,)).astype(object)
        if int(most.sum()) >= MOST_SUMMED:
            raise BadProblem(column, "adds up to more than 64 bits hold; use a larger unit")


def _check_tariff(column: str, tariff: Tariff, *, jobs: int, options: int) -> None:
    counts, rates, base = tariff.counts, tariff.rates, tariff.base
    if counts.ndim != 2 or counts.shape[0] != jobs or rates.shape != (counts.shape[1], options):
        raise BadProblem(column, f"counts {counts.shape} do not meet rates {rates.shape}")
    if base is not None and base.shape != (options,):
        raise BadProblem(column, f"base has shape {base.shape}, and {(options,)} is needed")
    if tariff.divisor < 1:
        raise BadProblem(column, "the divisor must be at least 1")
    most = 0 if base is None else int(base.max(initial=0))
    for k in range(counts.shape[1]):
        if counts[:, k].min(initial=0) < 0 or rates[k].min(initial=0) < 0:
            raise BadProblem(column, "a count or a rate is negative")
        most += int(counts[:, k].max(initial=0)) * int(rates[k].max(initial=0))
    if base is not None and base.min(initial=0) < 0:
        raise BadProblem(column, "a base is negative")
    if most >= MOST_LEVIED or most // tariff.divisor * jobs >= MOST_SUMMED:
        raise BadProblem(column, "is too large to be exact; use a larger unit")


def _check_rows(problem: Problem) -> None:
    seen = set()
    for row in problem.rows:
        if row.name in seen:
            raise BadProblem(f"row {row.name}", "is there twice; names must differ")
        seen.add(row.name)
        if row.measure not in problem.measures and row.measure not in (QUALITY, REQUESTS):
            raise BadProblem(f"row {row.name}", f"measure {row.measure} is not given")
        if abs(row.limit) >= MOST_SUMMED:
            raise BadProblem(f"row {row.name}", f"limit {row.limit} is more than 64 bits hold")
        wrong = [o for o in row.options or () if not 0 <= o < problem.options]
        if wrong:
            raise BadProblem(f"row {row.name}", f"option {wrong[0]} does not exist")
    implied = {row.measure for row in problem.rows} - set(problem.measures)
    if QUALITY in implied and not isinstance(problem.values, Factors):
        job = int(problem.values.min(axis=1, initial=0.0).argmin()) if problem.jobs else 0
        if problem.jobs and problem.values[job].min(initial=0.0) < 0:
            raise BadProblem("values", f"is negative for job {job}, and `{QUALITY}` may not be")
