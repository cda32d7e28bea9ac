"""What else can be used for the same problem: general solvers, and published heuristics."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ortools.linear_solver import pywraplp
from ortools.sat.python import cp_model

from scheduler.domain.plan import RowKind
from scheduler.optimise.problem import COST, REQUESTS, Problem
from scheduler.optimise.rows import parts_of
from scheduler.optimise.verify import violations_in_columns

Plan = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a baseline found.

    Attributes:
        plan: (n,) or None.
        build_s, solve_s: for writing the model down, and for solving it.
        optimum: of the relaxation, or of the plan where the method proves it.
        status: in the solver's own words.
    """

    plan: Plan | None
    build_s: float
    solve_s: float
    optimum: float | None = None
    status: str = ""


def coefficients(problem: Problem) -> list[tuple[NDArray[np.float64], float]]:
    """Every row written out: (n, m) float64 and its bound."""
    groups = np.zeros(problem.jobs, np.int32) if problem.groups is None else problem.groups
    found = []
    for row in problem.rows:
        table = np.zeros((problem.jobs, problem.options))
        parts, bound = parts_of(row)
        inside = (
            np.isin(groups, row.groups) if row.groups is not None else np.ones(len(groups), bool)
        )
        for measure, weight, options in parts:
            amounts: Any = 1.0 if measure == REQUESTS else problem.measures[measure]
            columns = np.zeros(problem.options)
            columns[list(options) if options is not None else slice(None)] = weight
            table += inside[:, None] * columns * amounts
        found.append((table, float(bound)))
    return found


def linear(problem: Problem, solver_name: str, *, time_limit_s: float) -> Outcome:
    """The relaxation by GLOP or PDLP on the direct formulation, then rounded and mended."""
    started = time.perf_counter()
    solver = pywraplp.Solver.CreateSolver(solver_name)
    solver.SetTimeLimit(int(time_limit_s * 1000))
    solver.SetNumThreads(2)
    n, m = problem.jobs, problem.options
    values = np.asarray(problem.values, np.float64)
    objective = solver.Objective()
    objective.SetMaximization()
    shares = [solver.NumVar(0.0, 1.0, "") for _ in range(n * m)]
    for share, value in zip(shares, values.ravel().tolist(), strict=True):
        objective.SetCoefficient(share, value)
    for job in range(n):
        once = solver.Constraint(-solver.infinity(), 1.0)
        for share in shares[job * m : (job + 1) * m]:
            once.SetCoefficient(share, 1.0)
    for table, bound in coefficients(problem):
        size = max(abs(bound), float(np.abs(table).max()) * n / 100)
        row = solver.Constraint(-solver.infinity(), bound / size)
        (where,) = np.nonzero(table.ravel())
        for at, entry in zip(where.tolist(), (table.ravel()[where] / size).tolist(), strict=True):
            row.SetCoefficient(shares[at], entry)
    built = time.perf_counter()
    status = solver.Solve()
    done = time.perf_counter()
    words = {0: "optimal", 1: "feasible", 2: "infeasible", 6: "not solved"}.get(status, str(status))
    if status not in (0, 1):
        return Outcome(plan=None, build_s=built - started, solve_s=done - built, status=words)
    solution = np.array([share.solution_value() for share in shares]).reshape(n, m)
    plan = np.where(solution.max(axis=1) > 0.5, solution.argmax(axis=1), -1).astype(np.int32)
    return Outcome(
        plan=mended(problem, plan),
        build_s=built - started,
        solve_s=done - built,
        optimum=float(objective.Value()),
        status=words,
    )


def cpsat(problem: Problem, *, time_limit_s: float) -> Outcome:
    """CP-SAT on the direct formulation, both cores."""
    started = time.perf_counter()
    model = cp_model.CpModel()
    n, m = problem.jobs, problem.options
    picks = [model.new_bool_var("") for _ in range(n * m)]
    for job in range(n):
        model.add_at_most_one(picks[job * m : (job + 1) * m])
    for table, bound in coefficients(problem):
        (where,) = np.nonzero(table.ravel())
        entries = [int(e) for e in table.ravel()[where].tolist()]
        row = cp_model.LinearExpr.weighted_sum([picks[at] for at in where.tolist()], entries)
        model.add(row <= int(bound))
    gains = np.rint(np.asarray(problem.values, np.float64) * 1e6).astype(np.int64)
    model.maximize(cp_model.LinearExpr.weighted_sum(picks, gains.ravel().tolist()))
    built = time.perf_counter()
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit_s
    solver.parameters.num_workers = 2
    status = solver.solve(model)
    done = time.perf_counter()
    plan = None
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        chosen = np.array([solver.boolean_value(pick) for pick in picks]).reshape(n, m)
        plan = np.where(chosen.any(axis=1), chosen.argmax(axis=1), -1).astype(np.int32)
    return Outcome(
        plan=plan,
        build_s=built - started,
        solve_s=done - built,
        optimum=solver.best_objective_bound / 1e6,
        status=solver.status_name(status).lower(),
    )


def mended(problem: Problem, plan: Plan) -> Plan:
    """*plan* with jobs deferred, least value lost per cost first, until every row is kept."""
    plan = plan.copy()
    values, costs = np.asarray(problem.values), np.asarray(problem.measures[COST])
    for _ in range(200):
        broken = {violation.rule for violation in violations_in_columns(problem, plan)}
        if not broken:
            return plan
        reach = np.zeros((problem.jobs, problem.options), bool)
        for row in problem.rows:
            if row.name in broken:
                inside = np.ones(problem.jobs, bool)
                if row.groups is not None and problem.groups is not None:
                    inside = np.isin(problem.groups, row.groups)
                columns = np.zeros(problem.options, bool)
                columns[list(row.options) if row.options else slice(None)] = True
                reach |= inside[:, None] & columns
        served = np.flatnonzero((plan >= 0) & reach[np.arange(len(plan)), np.maximum(plan, 0)])
        rate = values[served, plan[served]] / costs[served, plan[served]]
        plan[served[np.argsort(rate)[: max(1, len(plan) // 20_000)]]] = -1
    return plan


def greedy(problem: Problem, *, time_limit_s: float) -> Outcome:
    """Upgrades by value per cost, best first, each made if every row still holds.

    The greedy for the multiple-choice knapsack: from a job's efficient options, each step to
    the next is one upgrade (Sinha and Zoltners' order, without their bound).
    """
    started = time.perf_counter()
    deadline = started + time_limit_s
    values = np.asarray(problem.values, np.float64)
    costs = np.asarray(problem.measures[COST], np.float64)
    rows = coefficients(problem)
    tables = np.stack([table for table, _ in rows])
    use, bounds = np.zeros(len(rows)), np.array([bound for _, bound in rows])
    steps = _hull_steps(values, costs)
    plan = np.full(problem.jobs, -1, np.int32)
    built = time.perf_counter()
    for _, job, _, target in steps:
        if time.perf_counter() > deadline:
            break
        here = plan[job]
        if here >= 0 and values[job, target] <= values[job, here]:
            continue
        change = tables[:, job, target] - (tables[:, job, here] if here >= 0 else 0.0)
        if (use + change <= bounds).all():
            use += change
            plan[job] = target
    return Outcome(plan=plan, build_s=built - started, solve_s=time.perf_counter() - built)


def _hull_steps(
    values: NDArray[np.float64], costs: NDArray[np.float64]
) -> list[tuple[float, int, int, int]]:
    """Every job's steps along its efficient options, by falling value per cost."""
    steps = []
    for job in range(len(values)):
        here, cost, value = -1, 0.0, 0.0
        while True:
            gain, price = values[job] - value, costs[job] - cost
            rate = np.where((gain > 0) & (price > 0), gain / np.maximum(price, 1e-300), -1.0)
            target = int(rate.argmax())
            if rate[target] <= 0:
                break
            steps.append((-float(rate[target]), job, here, target))
            here, cost, value = target, costs[job, target], values[job, target]
    steps.sort()
    return steps


def optllm(problem: Problem, *, time_limit_s: float, grid: int = 100) -> Outcome:
    """OptLLM's destruction and reconstruction (Liu et al., 2024), from its description.

    From the plan of highest accuracy, for ever larger parts of what lies between its cost and
    the lowest: jobs go to cheaper options until that part is saved (destruction); then the best
    gain per cost and the least loss per cost are swapped while that improves the plan
    (reconstruction).  It knows one budget and no other row; of its plans the best is taken that
    keeps every row here.
    """
    started = time.perf_counter()
    values = np.asarray(problem.values, np.float64)
    costs = np.asarray(problem.measures[COST], np.float64)
    jobs = np.arange(problem.jobs)
    plan = values.argmax(axis=1)
    span = costs[jobs, plan].sum() - costs.min(axis=1).sum()
    best: tuple[float, Plan] | None = None
    for step in range(1, grid + 1):
        if time.perf_counter() - started > time_limit_s:
            break
        plan = _destroyed(values, costs, plan, span / grid)
        plan = _reconstructed(values, costs, plan, started + time_limit_s)
        whole = plan.astype(np.int32)
        value = float(values[jobs, plan].sum())
        if (best is None or value > best[0]) and not violations_in_columns(problem, whole):
            best = (value, whole)
        if best is not None and _only_budget(problem):
            break
        del step
    return Outcome(
        plan=None if best is None else best[1],
        build_s=0.0,
        solve_s=time.perf_counter() - started,
        status="ok" if best else "no plan of its front keeps every row",
    )


def _only_budget(problem: Problem) -> bool:
    return all(row.kind is RowKind.MOST and row.groups is None for row in problem.rows)


def _destroyed(
    values: NDArray[np.float64], costs: NDArray[np.float64], plan: NDArray[Any], saving: float
) -> NDArray[Any]:
    del values
    jobs = np.arange(len(plan))
    cheapest = costs.argmin(axis=1)
    saved = costs[jobs, plan] - costs[jobs, cheapest]
    order = np.argsort(-saved, kind="stable")
    count = int(np.searchsorted(np.cumsum(saved[order]), saving)) + 1
    destroyed = plan.copy()
    destroyed[order[:count]] = cheapest[order[:count]]
    return destroyed


def _reconstructed(
    values: NDArray[np.float64], costs: NDArray[np.float64], plan: NDArray[Any], deadline: float
) -> NDArray[Any]:
    plan = plan.copy()
    ups: list[tuple[float, int, int, int]] = []
    downs: list[tuple[float, int, int, int]] = []

    def list_moves(job: int) -> None:
        here = int(plan[job])
        gain, price = values[job] - values[job, here], costs[job] - costs[job, here]
        up = np.where((gain > 0) & (price > 0), gain / np.maximum(price, 1e-300), 0.0)
        free = (gain >= 0) & (price <= 0) & (gain - price > 0)
        up[free] = np.inf
        target = int(up.argmax())
        if up[target] > 0:
            heapq.heappush(ups, (-float(up[target]), job, here, target))
        down = np.where((gain < 0) & (price < 0), gain / np.minimum(price, -1e-300), np.inf)
        target = int(down.argmin())
        if np.isfinite(down[target]):
            heapq.heappush(downs, (float(down[target]), job, here, target))

    for job in range(len(plan)):
        list_moves(job)
    while ups and time.perf_counter() < deadline:
        rate, job, here, target = ups[0]
        if plan[job] != here:
            heapq.heappop(ups)
            continue
        if rate != -np.inf:
            while downs and plan[downs[0][1]] != downs[0][2]:
                heapq.heappop(downs)
            if not downs or downs[0][0] >= -rate:
                break
            _, other, _, lower = heapq.heappop(downs)
            plan[other] = lower
            list_moves(other)
            if other == job:
                continue
        heapq.heappop(ups)
        plan[job] = target
        list_moves(job)
    return plan


Baseline = Callable[..., Outcome]

BASELINES: dict[str, Baseline] = {
    "glop": lambda problem, time_limit_s: linear(problem, "GLOP", time_limit_s=time_limit_s),
    "pdlp": lambda problem, time_limit_s: linear(problem, "PDLP", time_limit_s=time_limit_s),
    "cpsat": cpsat,
    "greedy": greedy,
    "optllm": optllm,
}
