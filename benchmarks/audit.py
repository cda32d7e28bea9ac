"""How long `apportion audit verify` takes over a day of many jobs, and how much memory.

One JSON line.  The audit runs in a process of its own, and memory is what it grew by while it ran;
Postgres's is the peak of the backend that it asked, shared buffers included.
"""

import argparse
import hashlib
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, create_engine, text

from scheduler.compliance.verification import verify
from scheduler.domain.decision import decisions_digest
from scheduler.store import embedded
from scheduler.store.budgets import ALWAYS, set_budget
from scheduler.store.catalog_records import prove_catalog
from scheduler.store.connect import snapshot
from scheduler.store.evidence import append
from scheduler.store.job_records import all_asked, asked_digests
from scheduler.store.migrate import upgrade
from scheduler.store.plans import NewPlan, add_decisions, add_plan
from workers.settle import CALL_FACTS

WINDOW = 20_000
FLUSH = 500
OUTPUT = json.dumps("A summary of some length. " * 8)
SEAL = hashlib.sha256(OUTPUT.encode())

ROWS = """
    INSERT INTO provider (name, protocol) VALUES ('p', 'openai');
    INSERT INTO offer (name, provider_id, model, lane, tasks, requests_per_minute,
                       tokens_per_minute, context_limit, output_limit, concurrency, is_on,
                       tokenizer, quality_prior)
    VALUES ('p/m', 1, 'm', 'sync', '{summarize}', 1, 1, 1, 1, 1, true, 'words', '{}');
    INSERT INTO price (offer_id, input_pusd, output_pusd, source, digest) VALUES (1, 1, 1, 's', '');
    INSERT INTO document (tenant_id, bytes, words, digest, body, features, token_stats)
    SELECT 1, 900, 100, sha256(convert_to(n || repeat(' words', 150), 'UTF8')),
           n || repeat(' words', 150), '', '' FROM generate_series(1, :jobs) AS n;
    INSERT INTO job (tenant_id, project_id, key, digest, document_id, task, data_class, source,
                     state, plan_id, booked_on, spent_nusd, finished_at)
    SELECT 1, 3, 'j' || n, '', n, 'summarize', 'internal', 's', 'done', 1 + (n - 1) / :window,
           current_date, 60, now()
    FROM generate_series(1, :jobs) AS n;
    INSERT INTO attempt (id, started_at, job_id, parcel_id, ordinal, fence, offer_id, price_id,
                         reduction, prompt, state, reserved_nusd, booked_on, cost_nusd,
                         input_tokens, output_tokens, finish, served_model, request_id, finished_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, now(), n, 1, 1, 1, 1, 1, 'none', 'summarize-1',
           'succeeded', 100, current_date, 60, 20, 20, 'stop', 'm-1', 'r' || n, now()
    FROM generate_series(1, :jobs) AS n;
    INSERT INTO ledger (kind, amount_nusd, job_id, tenant_id, project_id, booked_on, plan_id,
                        attempt_id, offer_id)
    SELECT kind, amount, n, 1, 3, current_date, 1 + (n - 1) / :window,
           CASE kind WHEN 'posting' THEN lpad(to_hex(n), 32, '0')::uuid END, 1
    FROM generate_series(1, :jobs) AS n,
         (VALUES ('reservation', 100), ('posting', 60), ('release', 40)) AS moves (kind, amount);
    INSERT INTO result (job_id, tenant_id, status, output, attempt_id, offer_id, reduction,
                        cost_nusd, quality_ppm, digest)
    SELECT n, 1, 'done', CAST(:output AS jsonb), lpad(to_hex(n), 32, '0')::uuid, 1, 'none', 60,
           800000, :seal FROM generate_series(1, :jobs) AS n
"""


def fill(conn: Connection, jobs: int) -> None:
    """A day of *jobs* jobs, each answered at its first call."""
    for statement in ROWS.split(";"):
        values = {"jobs": jobs, "window": WINDOW, "output": OUTPUT, "seal": SEAL.digest()}
        conn.execute(text(statement), values)
    prove_catalog(conn, offers=[1], prices=[1])
    starts_on, ends_on = ALWAYS
    limit_nusd = jobs * 1000
    set_budget(
        conn, scope_id=1, starts_on=starts_on, ends_on=ends_on, limit_nusd=limit_nusd, by="bench"
    )
    for first in range(1, jobs + 1, WINDOW):
        plan(conn, range(first, min(first + WINDOW, jobs + 1)))
    for first in range(1, jobs + 1, FLUSH):
        flush(conn, range(first, min(first + FLUSH, jobs + 1)))


def plan(conn: Connection, jobs: range) -> None:
    alternatives = json.dumps(
        [{"offer_id": 1, "price_id": 1, "quality_ppm": 700_000, "reduction": "none"}] * 3,
        separators=(",", ":"),
    )
    rows = [
        [job, 1, 1, "none", 60, 100, 800_000, 700_000, 20, 20, 30, alternatives, None]
        for job in jobs
    ]
    digest, count = decisions_digest(rows), len(jobs)
    asked = asked_digests(conn, jobs)
    inputs = {"jobs": all_asked(asked)}
    new = NewPlan(
        window_kind="continuous", jobs=count, planned=count, deferred=0, value=1.0, bound=1.0,
        gap=0.0, passes=1, solve_s=0.1, seed=1, cost_nusd=60 * count, reserved_nusd=100 * count,
        rows=[], inputs=inputs, decisions_digest=digest,
    )  # fmt: skip
    plan_id = add_plan(conn, new)
    add_decisions(conn, plan_id=plan_id, rows=rows, asked=asked)
    body = {
        "plan": plan_id, "window": "continuous", "jobs": count, "planned": count, "deferred": 0,
        "seed": 1, "cost_nusd": 60 * count, "reserved_nusd": 100 * count, "inputs": inputs,
        "decisions_digest": digest.hex(),
    }  # fmt: skip
    append(conn, stream="plan", kind="plan", bodies=[body])


def flush(conn: Connection, jobs: range) -> None:
    calls = [
        [str(UUID(int=job)), job, 1, 1, 1, "summarize-1", "00" * 32, "none", "succeeded", 60, 20,
         20, "stop", "m-1", f"r{job}", SEAL.hexdigest()]
        for job in jobs
    ]  # fmt: skip
    body = {"facts": CALL_FACTS, "calls": calls, "worker": "w"}
    append(conn, stream="work", kind="calls", bodies=[body])


def chain(conn: Connection, records: int) -> None:
    """A stream of *records* small records."""
    for first in range(0, records, 10_000):
        append(
            conn, stream="many", kind="k", bodies=[{"n": n} for n in range(first, first + 10_000)]
        )


def peak_mb(process: int | str = "self") -> int:
    """The most memory that a process has had; rusage's would be its parent's, if that had more."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def audited(url: str) -> dict[str, Any]:
    """What an audit of the database at *url* found, took and needed."""
    engine, started = create_engine(url), time.perf_counter()
    with snapshot(engine, statement_timeout_s=0) as conn:
        before_mb = peak_mb()
        audit = verify(conn)
        backend = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        backend_mb = peak_mb(backend)
    engine.dispose()
    return {
        "records": audit.records,
        "findings": len(audit.findings),
        "seconds": round(time.perf_counter() - started, 1),
        "grown_mb": peak_mb() - before_mb,
        "postgres_peak_mb": backend_mb,
        "seconds_by_check": audit.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, embedded.start(Path(home)) as server:
        upgrade(server.url)
        engine = create_engine(server.url)
        with engine.begin() as conn:
            fill(conn, asked.jobs)
            chain(conn, asked.records)
        with engine.connect() as conn:
            conn.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
        engine.dispose()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            figures = apart.submit(audited, server.url).result()
    print(json.dumps({"benchmark": "audit", "jobs": asked.jobs} | figures))


if __name__ == "__main__":
    main()
