"""How many queued jobs a second are planned and committed, beside a bare COPY of the decisions.

    python -m benchmarks.planning [--jobs 20000] [--offers 10] [--repeat 3] [--json]

Planned means: read from the queue, masked, estimated, solved against nested budgets, checked,
and written with decisions, parcels, reservations and evidence to a durable Postgres of its own.
The baseline writes the same decision rows by COPY, in one transaction, and does nothing else.
One JSON line; seconds are the best of the rounds, after one small window that warms up.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine, text

from scheduler.domain.policy import Policy
from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from scheduler.store import embedded
from scheduler.store.connect import open_engine
from scheduler.store.migrate import upgrade
from scheduler.store.plans import add_decisions, decision_rows
from tests.planning.queued import NOON, TOPIC, add_budget, add_offers, fill_queue, listing, policy

_TWIN = text("""
    INSERT INTO plan (window_kind, jobs, planned, deferred, value, bound, gap, passes, solve_s,
                      seed, cost_nusd, reserved_nusd, rows, inputs, decisions_digest)
    SELECT window_kind, jobs, planned, deferred, value, bound, gap, passes, solve_s, seed,
           cost_nusd, reserved_nusd, rows, inputs, decisions_digest
    FROM plan WHERE id = :plan_id
    RETURNING id
""")

WARM_JOBS = 500
USD_PER_JOB = 0.0004
"""What there is to spend: enough for the best offers on some jobs, and on the others not."""


@click.command()
@click.option("--jobs", default=20_000, show_default=True)
@click.option("--offers", default=10, show_default=True)
@click.option("--repeat", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON line.")
def main(*, jobs: int, offers: int, repeat: int, as_json: bool) -> None:
    """Plan windows of *jobs* jobs, and say how fast it went."""
    # Postgres may run as another user, who must be able to enter.
    home = Path(tempfile.mkdtemp(prefix="apportion-bench-"))
    try:
        with embedded.start(home) as server:
            upgrade(server.url)
            engine = open_engine(server.url)
            figures = measure(engine, jobs=jobs, offers=offers, repeat=repeat)
            engine.dispose()
    finally:
        shutil.rmtree(home)
    click.echo(json.dumps(figures) if as_json else shown(figures))


def measure(engine: Engine, *, jobs: int, offers: int, repeat: int) -> dict[str, Any]:
    """The figures of *repeat* windows."""
    with engine.begin() as conn:
        # Dearer is better, as it mostly is.
        add_offers(
            conn,
            *(
                listing(
                    f"p{number}/model",
                    provider=f"p{number}",
                    usd_per_million=(0.05 * 1.7**number, 0.2 * 1.7**number),
                    quality=0.6 + 0.35 * number / offers,
                )
                for number in range(offers)
            ),
        )
        add_budget(conn, USD_PER_JOB * WARM_JOBS)
    by = policy(window_jobs=jobs)
    plan_queued(engine, WARM_JOBS, by)
    planned = [plan_queued(engine, jobs, by) for _ in range(repeat)]
    best = min(planned, key=lambda one: one["plan_s"])
    copy_s = min(copied(engine, plan_id=one["plan_id"]) for one in planned)
    return {
        "benchmark": "planning",
        "offers": offers,
        **best,
        "jobs_per_s": round(jobs / best["plan_s"]),
        "baseline": "bare COPY of the decisions",
        "baseline_s": round(copy_s, 3),
        "baseline_jobs_per_s": round(jobs / copy_s),
        "share_of_baseline": round(copy_s / best["plan_s"], 3),
    }


def plan_queued(engine: Engine, jobs: int, by: Policy) -> dict[str, Any]:
    """Queue *jobs* jobs, with money for some of what they could use, and plan them."""
    with engine.begin() as conn:
        # Each round has its own documents and keys, and the jobs before it are history.
        fill_queue(conn, jobs)
        conn.execute(
            text("UPDATE budget SET limit_nusd = reserved_nusd + :more"),
            {"more": int(USD_PER_JOB * 1e9) * jobs},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("ANALYZE job"))
    plan_s, outcome = timed(
        lambda: plan_window(
            engine, kind=WindowKind.CONTINUOUS, now=NOON, policy=by, results_topic=TOPIC
        )
    )
    assert outcome is not None
    return {
        "jobs": outcome.jobs,
        "planned": outcome.planned,
        "gap": outcome.gap,
        "solve_s": round(outcome.solve_s, 3),
        "plan_s": round(plan_s, 3),
        "plan_id": outcome.plan_id,
    }


def copied(engine: Engine, *, plan_id: int) -> float:
    """Seconds to COPY that plan's decisions once more, under a plan of their own, and commit."""
    with engine.connect() as conn:
        rows = list(decision_rows(conn, plan_id=plan_id))
    with engine.begin() as conn:
        twin = conn.execute(_TWIN, {"plan_id": plan_id}).scalar_one()

    def copy() -> None:
        with engine.begin() as conn:
            add_decisions(conn, plan_id=twin, rows=rows)

    return timed(copy)[0]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def shown(figures: dict[str, Any]) -> str:
    """The figures as a sentence."""
    return (
        f"{figures['planned']:,} of {figures['jobs']:,} jobs planned in {figures['plan_s']} s, "
        f"{figures['jobs_per_s']:,} jobs/s (solve {figures['solve_s']} s, gap "
        f"{figures['gap']:.1e}); {figures['baseline']}: {figures['baseline_jobs_per_s']:,} jobs/s"
    )


if __name__ == "__main__":
    main()
