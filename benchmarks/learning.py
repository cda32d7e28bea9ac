"""How long `apportion learn` takes over many outcomes, its memory, and who waits for it meanwhile.

    python -m benchmarks.learning [--outcomes 200000] [--documents 50000] [--offers 20]

A process of its own learns, and says how far its memory grew; beside it jobs are taken in, 500 at
a time, and planned, as they were before it began.  One JSON line.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, create_engine, text

from benchmarks.audit import peak_mb
from scheduler.domain.policy import IntakePolicy, Policy
from scheduler.estimate.features import FEATURES, TOKEN_STATS
from scheduler.estimate.logistic import sigmoid
from scheduler.intake.chunk import Reader
from scheduler.intake.files import Roots
from scheduler.intake.jobs import JobIntake
from scheduler.interpreter import calculate_on_one_core
from scheduler.planning.learning import learn
from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from scheduler.store import embedded
from scheduler.store.budgets import ALWAYS
from scheduler.store.bulk import copy_rows
from scheduler.store.connect import open_engine
from scheduler.store.migrate import upgrade
from scheduler.store.scopes import ensure_scope
from tests.planning.queued import PROJECT, TOPIC, add_budget, add_offers, listing, policy

JOBS = 500
PROJECTS = 8
ROWS = """
    INSERT INTO job (tenant_id, project_id, key, digest, document_id, task, data_class, source,
                     state, booked_on, spent_nusd, finished_at)
    SELECT :tenant, (CAST(:projects AS int[]))[1 + n % :documents % array_length(:projects, 1)],
           'old-' || n, '', 1 + n % :documents, 'summarize', 'public', 's', 'done', current_date,
           60, now() FROM generate_series(0, :outcomes - 1) AS n;
    INSERT INTO attempt (id, started_at, job_id, parcel_id, ordinal, fence, offer_id, price_id,
                         reduction, prompt, state, reserved_nusd, booked_on, cost_nusd,
                         input_tokens, output_tokens, seconds, finish, finished_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, now(), 1 + n, 1, 1, 1, 1 + (n / 7) % :offers,
           1 + (n / 7) % :offers, 'none', 'summarize-1', 'succeeded', 100, current_date, 60,
           200 + n % 97, 50 + n % 31, 1 + n % 7, 'stop', now()
    FROM generate_series(0, :outcomes - 1) AS n;
    INSERT INTO result (job_id, tenant_id, status, output, attempt_id, offer_id, reduction,
                        cost_nusd, quality_ppm, digest)
    SELECT 1 + n, :tenant, 'done', '"x"', lpad(to_hex(n), 32, '0')::uuid, 1 + (n / 7) % :offers,
           'none', 60, 800000, sha256('"x"') FROM generate_series(0, :outcomes - 1) AS n
"""


def fill(conn: Connection, *, outcomes: int, documents: int, offers: int) -> None:
    """So many scored answers, whose scores their documents' features say something of."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(documents, FEATURES)).astype(np.float16)
    stats = rng.integers(1, 2_000, (documents, TOKEN_STATS), dtype=np.int32)
    columns = ("tenant_id", "bytes", "words", "digest", "body", "features", "token_stats")
    projects = [ensure_scope(conn, f"acme/old/p{number}").id for number in range(PROJECTS)]
    ensure_scope(conn, PROJECT)
    tenant = ensure_scope(conn, "acme").id
    copy_rows(
        conn,
        "document",
        columns,
        (
            (tenant, 900, 150, n.to_bytes(32), "x", features[n].tobytes(), stats[n].tobytes())
            for n in range(documents)
        ),
    )
    asked = {"tenant": tenant, "projects": projects, "documents": documents, "offers": offers}
    for statement in ROWS.split(";"):
        conn.execute(text(statement), asked | {"outcomes": outcomes})
    heads = rng.normal(size=(FEATURES, offers)) / 4
    at = np.arange(outcomes)
    said = np.einsum(
        "nf,fn->n", features[at % documents].astype(np.float64), heads[:, at // 7 % offers]
    )
    ppm = (sigmoid(said) * 1e6).astype(int).tolist()
    rows = ((1 + n, "score", one, "s") for n, one in enumerate(ppm))
    copy_rows(conn, "feedback", ("job_id", "kind", "score_ppm", "source"), rows)


def learned(url: str) -> dict[str, Any]:
    """What was learned from the database at *url*, in how long, and how far memory grew."""
    engine, by = create_engine(url), Policy()
    before_mb, started = peak_mb(), time.perf_counter()
    with engine.begin() as conn:
        lessons = learn(conn, policy=by)
    engine.dispose()
    return {
        "learn_s": round(time.perf_counter() - started, 1),
        "grown_mb": peak_mb() - before_mb,
        "lessons": {one.kind: [one.is_new, one.observations, one.reason] for one in lessons},
    }


class Service:
    """Intake and planning, a round at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        limits = IntakePolicy()
        self._intake = JobIntake(
            reader=Reader(policy=limits, roots=Roots(bytes_max=limits.file_bytes_max))
        )
        self._rounds = 0

    def round(self) -> tuple[float, float]:
        """Seconds to take in `JOBS` jobs, and to plan them."""
        self._rounds += 1
        values = [self._message(number) for number in range(JOBS)]
        intake_s = timed(lambda: self._take(values))
        return intake_s, timed(self._plan)

    def _message(self, number: int) -> bytes:
        key = f"{self._rounds}-{number}"
        said = {"job_id": key, "task": "summarize", "scope": PROJECT, "text": f"{key} " * 150}
        return json.dumps(said).encode()

    def _take(self, values: Sequence[bytes]) -> None:
        with self._engine.begin() as conn:
            chunk = self._intake.read(values, [()] * len(values))
            assert not self._intake.store(conn, chunk, source="bench", ahead=None)

    def _plan(self) -> None:
        by, now = policy(window_jobs=JOBS), datetime.now(UTC)
        done = plan_window(
            self._engine,
            kind=WindowKind.ASKED,
            now=now,
            policy=by,
            results_topic=TOPIC,
        )
        assert done is not None


def timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rounds(service: Service, until: Callable[[int], bool]) -> dict[str, Any]:
    """Rounds until that says so of how many there were; half of them, and the slowest, in s."""
    found: list[tuple[float, float]] = []
    while not until(len(found)):
        found.append(service.round())
    intake_s, plan_s = zip(*found, strict=True)
    return {
        "rounds": len(found),
        **{
            name: [round(median(seconds), 3), round(max(seconds), 3)]
            for name, seconds in (("intake_s", intake_s), ("plan_s", plan_s))
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("outcomes", 200_000), ("documents", 50_000), ("offers", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = vars(parser.parse_args())
    calculate_on_one_core()  # of the process that is started, as the command does
    with (
        tempfile.TemporaryDirectory() as home,
        embedded.start(Path(home)) as server,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart,
    ):
        upgrade(server.url)
        engine = open_engine(server.url)
        with create_engine(server.url).begin() as conn:
            add_offers(conn, *(listing(f"p/{n:02}") for n in range(asked["offers"])))
            add_budget(conn, 1_000_000, starts_on=ALWAYS[0], ends_on=ALWAYS[1])
            fill(conn, **asked)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text("ANALYZE"))
        service = Service(engine)
        service.round()  # compiled and cached
        alone = rounds(service, lambda count: count == 10)
        learning: Future[dict[str, Any]] = apart.submit(learned, server.url)
        beside = rounds(service, lambda count: count > 0 and learning.done())
        engine.dispose()
        figures = learning.result()
    print(
        json.dumps({"benchmark": "learning"} | asked | figures | {"alone": alone, "beside": beside})
    )


if __name__ == "__main__":
    main()
