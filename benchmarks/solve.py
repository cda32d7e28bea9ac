"""How fast and how good the solve is, beside what else could be used.

    python benchmarks/solve.py --jobs 20000 --options 20 --rows 15 --json
    python benchmarks/solve.py --jobs 10000000 --features 16 --baselines none --json

Seconds are the best of --repeat runs in one process, after one that is not counted; the first
run's time above that is reported as what loading and compiling cost.
"""

import json
import resource
import sys
import time

import click

started = time.perf_counter()

import numpy as np  # noqa: E402

from benchmarks import solve_instances  # noqa: E402
from scheduler.optimise.problem import Factors, Problem  # noqa: E402
from scheduler.optimise.result import Result  # noqa: E402
from scheduler.optimise.solve import solve  # noqa: E402

import_light_s = time.perf_counter() - started

GIB = 2**20
"""What `ru_maxrss` counts to one GiB in, on Linux."""


@click.command()
@click.option("--jobs", default=20_000, show_default=True)
@click.option("--options", default=20, show_default=True)
@click.option("--rows", default=15, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--features", default=0, help="Give values as factors of this many features.")
@click.option("--repeat", default=5, show_default=True)
@click.option("--threads", type=int, help="How many cores to use; all by default.")
@click.option("--time-limit", default=60.0, show_default=True, help="Seconds for the solve.")
@click.option(
    "--baselines",
    default="greedy",
    show_default=True,
    help="Of glop,pdlp,cpsat,greedy,optllm; none; all.",
)
@click.option("--baseline-limit", default=120.0, show_default=True, help="Seconds for each.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line.")
def main(
    *,
    jobs: int,
    options: int,
    rows: int,
    seed: int,
    features: int,
    repeat: int,
    threads: int | None,
    time_limit: float,
    baselines: str,
    baseline_limit: float,
    as_json: bool,
) -> None:
    """Measure the solve on one instance."""
    at = time.perf_counter()
    problem = (
        solve_instances.factored(jobs, options, rows, seed, features=features)
        if features
        else solve_instances.dense(jobs, options, rows, seed)
    )
    report: dict[str, object] = {
        "jobs": jobs,
        "options": options,
        "rows": rows,
        "seed": seed,
        "features": features,
        "instance_s": round(time.perf_counter() - at, 3),
    }
    times = []
    for _ in range(1 + repeat):
        at = time.perf_counter()
        result = solve(problem, seed=0, time_limit_s=time_limit, threads=threads)
        times.append(time.perf_counter() - at)
    report |= _ours(problem, result, times)
    names = {"none": [], "all": ["glop", "pdlp", "cpsat", "greedy", "optllm"]}.get(
        baselines, baselines.split(",")
    )
    report["baselines"] = {
        name: _baseline(problem, name, baseline_limit, min(times[1:])) for name in names
    }
    click.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))


def _ours(problem: Problem, result: Result, times: list[float]) -> dict[str, object]:
    from scheduler.optimise.verify import violations_in_columns

    solve_s = min(times[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB
    return {
        "import_s": round(import_light_s, 3),
        "load_and_compile_s": round(times[0] - solve_s, 3),
        "solve_s": round(solve_s, 4),
        "solve_median_s": round(float(np.median(times[1:])), 4),
        "status": str(result.status),
        "value": result.value,
        "bound": result.bound,
        "gap": result.gap,
        "passes": result.passes,
        "deferred": result.deferred,
        "feasible": not violations_in_columns(problem, result.choice),
        "peak_gib": round(peak, 2),
    }


def _baseline(problem: Problem, name: str, limit_s: float, ours_s: float) -> dict[str, object]:
    from benchmarks.solve_baselines import BASELINES
    from scheduler.optimise.verify import violations_in_columns

    if isinstance(problem.values, Factors):
        return {"skipped": "needs an array of jobs x options"}
    print(f"{name} ...", file=sys.stderr)
    outcome = BASELINES[name](problem, time_limit_s=limit_s)
    found: dict[str, object] = {
        "build_s": round(outcome.build_s, 3),
        "solve_s": round(outcome.solve_s, 3),
        "times_ours": round(outcome.solve_s / ours_s, 1),
        "status": outcome.status,
        "optimum": outcome.optimum,
    }
    if outcome.plan is not None:
        served = np.flatnonzero(outcome.plan >= 0)
        values = problem.values[served, outcome.plan[served]]
        found["value"] = float(values.sum(dtype=np.float64))
        found["feasible"] = not violations_in_columns(problem, outcome.plan)
    return found


if __name__ == "__main__":
    main()
