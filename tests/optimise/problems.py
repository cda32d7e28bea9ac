"""Problems to solve in tests, and slow answers that are plainly right."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ortools.linear_solver import pywraplp
from ortools.sat.python import cp_model

from scheduler.domain.plan import PPM, violations
from scheduler.optimise.problem import Objective, Problem, Row, RowKind

LINEAR = [kind for kind in RowKind if kind is not RowKind.ALL_OR_NOTHING]


def random_problem(
    seed: int, *, jobs: int, options: int, rows: int, groups: int = 2, **columns: Any
) -> Problem:
    """A small problem with every column and, over enough seeds, every kind of row."""
    rng = np.random.default_rng(seed)
    cost = np.ceil(np.exp(rng.normal(12, 2, (jobs, options)))).astype(np.int64)
    given: dict[str, Any] = {
        "values": rng.random((jobs, options)).astype(np.float32),
        "measures": {
            "cost_nusd": cost,
            "tokens": rng.integers(1, 2000, (jobs, 1)),
            "energy": rng.integers(1, 90, (1, options)),
        },
        "groups": rng.integers(0, groups, jobs).astype(np.int32),
        "eligible": rng.random((jobs, options)) < 0.85,
        "deferral_values": np.where(rng.random(jobs) < 0.2, rng.random(jobs) * 0.3, 0).astype(
            np.float32
        ),
        "pinned": np.where(rng.random(jobs) < 0.1, rng.integers(0, options, jobs), -1).astype(
            np.int32
        ),
        "weights": (0.5 + rng.random(jobs)).astype(np.float32),
    }
    given["rows"] = tuple(_random_row(rng, k, given, groups) for k in range(rows))
    return Problem(**(given | columns))


def _random_row(rng: np.random.Generator, k: int, given: dict[str, Any], groups: int) -> Row:
    jobs, options = given["values"].shape
    kind = list(RowKind)[rng.integers(0, len(RowKind))] if k else RowKind.MOST
    measure = str(rng.choice(["cost_nusd", "tokens", "energy", "requests", "quality_ppm"]))
    if kind in (RowKind.MEAN_LEAST, RowKind.MEAN_MOST):
        measure = "quality_ppm"
    some_options = tuple(sorted(rng.choice(options, max(1, options // 2), replace=False).tolist()))
    wanted = None if rng.random() < 0.5 and kind not in _SHARES else some_options
    return Row(
        name=f"row {k}",
        kind=kind,
        measure=measure,
        limit=_random_limit(rng, kind, measure, given, jobs),
        groups=None if rng.random() < 0.6 else (int(rng.integers(0, groups)),),
        options=wanted,
    )


_SHARES = (RowKind.SHARE_MOST, RowKind.SHARE_LEAST)


def _random_limit(
    rng: np.random.Generator, kind: RowKind, measure: str, given: dict[str, Any], jobs: int
) -> int:
    typical = {
        "cost_nusd": float(given["measures"]["cost_nusd"].mean()),
        "tokens": 1000.0,
        "energy": 45.0,
        "requests": 1.0,
        "quality_ppm": 500_000.0,
    }[measure]
    match kind:
        case RowKind.MOST:
            return int(typical * jobs * rng.uniform(0.1, 0.7))
        case RowKind.LEAST:
            return int(typical * jobs * rng.uniform(0.0, 0.3))
        case RowKind.SHARE_MOST | RowKind.SHARE_LEAST:
            return int(PPM * rng.uniform(0.1, 0.6))
        case RowKind.MEAN_LEAST:
            return int(PPM * rng.uniform(0.3, 0.7))
        case RowKind.MEAN_MOST:
            return int(PPM * rng.uniform(0.4, 0.9))
        case RowKind.ALL_OR_NOTHING:
            return int(typical * jobs * rng.uniform(0.1, 0.5))


def worth(problem: Problem, plan: NDArray[np.int32] | tuple[int, ...]) -> float:
    """What *plan* is worth, job by job."""
    return sum(score(problem, job=job, option=option) for job, option in enumerate(plan))


def score(problem: Problem, *, job: int, option: int) -> float:
    """What one job is worth under one option, in the objective's unit."""
    if option < 0:
        return 0.0 if problem.deferral_values is None else float(problem.deferral_values[job])
    value = problem.value(job=job, option=option)
    if problem.objective is Objective.VALUE:
        return value * (1.0 if problem.weights is None else float(problem.weights[job]))
    cost_usd = problem.amount("cost_nusd", job=job, option=option) / 1e9
    if problem.objective is Objective.COST:
        return -cost_usd
    assert problem.gains is not None
    assert problem.losses is not None
    return float(problem.gains[job]) * value - float(problem.losses[job]) * (1 - value) - cost_usd


def best_by_trying_all(problem: Problem) -> float | None:
    """What the best plan is worth; None where no plan keeps all rules."""
    every = itertools.product(range(-1, problem.options), repeat=problem.jobs)
    kept = [worth(problem, plan) for plan in every if not violations(problem, plan)]
    return max(kept, default=None)


def _coefficients(problem: Problem, row: Row) -> tuple[dict[tuple[int, int], int], int]:
    """A linear row, written out: a whole number for every job and option, and the bound."""
    found: dict[tuple[int, int], int] = {}
    sign = -1 if row.kind in (RowKind.LEAST, RowKind.SHARE_LEAST, RowKind.MEAN_LEAST) else 1
    for job in range(problem.jobs):
        if row.groups is not None and problem.group_of(job) not in row.groups:
            continue
        for option in range(problem.options):
            inside = row.options is None or option in row.options
            amount = problem.amount(row.measure, job=job, option=option)
            if row.kind in (RowKind.MOST, RowKind.LEAST):
                coefficient = amount * inside
            elif row.kind in _SHARES:
                coefficient = (PPM * inside - row.limit) * amount
            else:
                coefficient = (amount - row.limit) * inside
            found[job, option] = sign * coefficient
    bound = sign * row.limit if row.kind in (RowKind.MOST, RowKind.LEAST) else 0
    return found, bound


def linear_optimum(problem: Problem) -> float | None:
    """The optimum of the linear relaxation, by GLOP on the direct formulation."""
    solver = pywraplp.Solver.CreateSolver("GLOP")
    objective = solver.Objective()
    objective.SetMaximization()
    shares: dict[tuple[int, int], Any] = {}
    for job in range(problem.jobs):
        ways = [o for o in range(-1, problem.options) if problem.allows(job=job, option=o)]
        once = solver.Constraint(1.0, 1.0)
        for option in ways:
            shares[job, option] = solver.NumVar(0, 1, "")
            once.SetCoefficient(shares[job, option], 1.0)
            objective.SetCoefficient(shares[job, option], score(problem, job=job, option=option))
    for row in problem.rows:
        coefficients, bound = _coefficients(problem, row)
        size = max([abs(c) for c in coefficients.values()] or [1]) or 1
        limit = solver.Constraint(-solver.infinity(), bound / size)
        for place, coefficient in coefficients.items():
            if place in shares:
                limit.SetCoefficient(shares[place], coefficient / size)
    if solver.Solve() != pywraplp.Solver.OPTIMAL:
        return None
    return float(objective.Value())


def whole_optimum(problem: Problem, *, seconds: float = 20.0) -> tuple[float, float] | None:
    """The best plan's worth and CP-SAT's bound, on the direct formulation."""
    model = cp_model.CpModel()
    steps = 1e9
    picks: dict[tuple[int, int], Any] = {}
    terms = []
    for job in range(problem.jobs):
        ways = [o for o in range(-1, problem.options) if problem.allows(job=job, option=o)]
        for option in ways:
            picks[job, option] = model.new_bool_var("")
            gain = round(score(problem, job=job, option=option) * steps)
            terms.append(gain * picks[job, option])
        model.add_exactly_one(picks[job, option] for option in ways)
    for row in problem.rows:
        coefficients, bound = _coefficients(problem, row)
        model.add(sum(c * picks[p] for p, c in coefficients.items() if p in picks and c) <= bound)
    model.maximize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return solver.objective_value / steps, solver.best_objective_bound / steps
