"""One day's work as the service leaves it behind: three jobs, planned, called, paid and proved."""

import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from scheduler.domain.decision import decisions_digest
from scheduler.domain.ledger import EntryKind
from scheduler.store.budgets import set_budget
from scheduler.store.catalog_records import prove_catalog
from scheduler.store.evidence import append
from scheduler.store.ledger import Entry, book
from scheduler.store.plans import NewPlan, add_decisions, add_plan
from workers.settle import CALL_FACTS

TODAY = datetime.now(UTC).date()
ANSWERED, WASTED, LOST = UUID(int=1), UUID(int=2), UUID(int=3)
OUTPUT = {"summary": "süß", "a": [1, 2.5]}
SPELLED = '{"a":[1,2.5],"summary":"süß"}'

_ROWS = """
    INSERT INTO provider (name, protocol) VALUES ('sandbox', 'openai');
    INSERT INTO offer (name, provider_id, model, lane, tasks, requests_per_minute,
                       tokens_per_minute, context_limit, output_limit, concurrency, is_on,
                       tokenizer, quality_prior)
    VALUES ('sandbox/small', 1, 'small', 'sync', '{summarize}', 60, 1000, 1000, 100, 4, true,
            'words', '{}');
    INSERT INTO price (offer_id, input_pusd, output_pusd, source, digest)
    VALUES (1, 1000, 2000, 'test', '');
    INSERT INTO document (tenant_id, bytes, words, digest, body, features, token_stats)
    SELECT 1, 6, 1, sha256(convert_to('text ' || n, 'UTF8')), 'text ' || n, '', ''
    FROM generate_series(1, 3) AS n;
"""

_JOB = text("""
    INSERT INTO job (tenant_id, project_id, key, digest, document_id, task, data_class, source,
                     state, plan_id, reserved_nusd, held_nusd, booked_on, spent_nusd, finished_at)
    VALUES (1, 3, :key, '', :document, 'summarize', 'internal', 'test', :state, 1,
            :held, :held, :day, :spent, CASE WHEN :state <> 'queued' THEN now() END)
""")

_ATTEMPT = text("""
    INSERT INTO attempt (id, started_at, job_id, parcel_id, ordinal, fence, offer_id, price_id,
                         reduction, prompt, state, reserved_nusd, booked_on, cost_nusd,
                         input_tokens, output_tokens, finish, served_model, request_id, finished_at)
    VALUES (:id, now(), :job, 1, 1, 1, 1, 1, 'none', 'summarize-1', :state, 100, :day, :cost,
            :input, 20, 'stop', 'small-1', 'r-' || CAST(:job AS text), now())
""")

_RESULT = text("""
    INSERT INTO result (job_id, tenant_id, status, output, reason, attempt_id, offer_id, reduction,
                        cost_nusd, quality_ppm, digest)
    VALUES (:job, 1, :status, CAST(:output AS jsonb), :reason, :attempt,
            CASE WHEN :status = 'done' THEN 1 END, CASE WHEN :status = 'done' THEN 'none' END,
            :cost, CASE WHEN :status = 'done' THEN 800000 END, :digest)
""")


def a_day(conn: Connection) -> None:
    """Job a is answered; b's call was wasted and it failed; c's call is of unknown outcome."""
    for statement in filter(str.strip, _ROWS.split(";")):
        conn.execute(text(statement))
    prove_catalog(conn, offers=[1], prices=[1])
    starts_on, ends_on = TODAY.replace(day=1), date(TODAY.year + 1, 1, 1)
    set_budget(
        conn, scope_id=1, starts_on=starts_on, ends_on=ends_on, limit_nusd=10_000, by="finance"
    )
    _plan(conn)
    for key, document, state, held, spent in (
        ("a", 1, "done", 0, 60), ("b", 2, "failed", 0, 40), ("c", 3, "queued", 100, 0),
    ):  # fmt: skip
        conn.execute(
            _JOB,
            {"key": key, "document": document, "state": state, "held": held, "spent": spent}
            | {"day": TODAY},
        )
    _calls(conn)
    _pay(conn)
    _deliver(conn)


def _plan(conn: Connection) -> None:
    rows: list[list[Any]] = [
        [job, 1, 1, "none", 50, 100, 800_000, 700_000, 20, 20, 30, '[{"offer_id":1}]', None]
        for job in (1, 2, 3)
    ]
    rows.append([4, *[None] * 10, "[]", "no budget"])
    digest = decisions_digest(rows)
    rows_of_the_solve = [{"name": "default 2026-11", "limit": 1e16, "use": -0.0, "price": 1e-7}]
    plan = NewPlan(
        window_kind="continuous", jobs=4, planned=3, deferred=1, value=2.4, bound=2.5, gap=0.1,
        passes=3, solve_s=0.1, seed=1, cost_nusd=150, reserved_nusd=300, rows=rows_of_the_solve,
        inputs={"policy": "ab"}, decisions_digest=digest,
    )  # fmt: skip
    conn.execute(text("SET LOCAL session_replication_role = replica"))  # decisions before jobs
    add_decisions(conn, plan_id=add_plan(conn, plan), rows=rows)
    conn.execute(text("SET LOCAL session_replication_role = origin"))
    body = {
        "plan": 1, "window": "continuous", "jobs": 4, "planned": 3, "deferred": 1, "seed": 1,
        "cost_nusd": 150, "reserved_nusd": 300, "inputs": {"policy": "ab"},
        "decisions_digest": digest.hex(), "value": 2.4, "bound": 2.5, "gap": 0.1, "passes": 3,
        "solve_s": 0.1, "rows": rows_of_the_solve,
    }  # fmt: skip
    append(conn, stream="plan", kind="plan", bodies=[body])


def _calls(conn: Connection) -> None:
    facts = []
    for id_, job, state, cost, output in (
        (ANSWERED, 1, "succeeded", 60, SPELLED), (WASTED, 2, "failed", 40, None),
        (LOST, 3, "unknown", None, None),
    ):  # fmt: skip
        conn.execute(
            _ATTEMPT,
            {"id": id_, "job": job, "state": state, "cost": cost, "input": 20, "day": TODAY},
        )
        seal = hashlib.sha256(output.encode()).hexdigest() if output else None
        facts.append(
            [str(id_), job, 1, 1, 1, "summarize-1", "00", "none", state, cost, 20, 20, "stop",
             "small-1", f"r-{job}", seal]
        )  # fmt: skip
    failed = [[2, hashlib.sha256(b"refused").hexdigest()]]
    body = {"facts": CALL_FACTS, "calls": facts, "worker": "w", "failed": failed}
    append(conn, stream="work-1", kind="calls", bodies=[body])


def _pay(conn: Connection) -> None:
    kinds = EntryKind
    for job, attempt, moves in (
        (1, ANSWERED, [(kinds.RESERVATION, 100), (kinds.POSTING, 60), (kinds.RELEASE, 40)]),
        (2, WASTED, [(kinds.RESERVATION, 100), (kinds.WASTE, 40), (kinds.RELEASE, 60)]),
        (3, LOST, [(kinds.RESERVATION, 100)]),
    ):
        entries = [
            Entry(
                kind=kind, amount_nusd=nusd, tenant_id=1, project_id=3, booked_on=TODAY,
                job_id=job, plan_id=1, offer_id=1,
                attempt_id=attempt if kind in (kinds.POSTING, kinds.WASTE) else None,
            )
            for kind, nusd in moves
        ]  # fmt: skip
        book(conn, entries)


def _deliver(conn: Connection) -> None:
    done = {"job": 1, "status": "done", "output": json.dumps(OUTPUT), "reason": None}
    failed = {"job": 2, "status": "failed", "output": None, "reason": "refused"}
    for result, said, attempt, cost in (
        (done, SPELLED, ANSWERED, 60), (failed, "refused", None, 40),
    ):  # fmt: skip
        digest = hashlib.sha256(said.encode()).digest()
        conn.execute(_RESULT, result | {"attempt": attempt, "cost": cost, "digest": digest})
