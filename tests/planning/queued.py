"""A queue to plan: offers, budgets and jobs, put straight into the tables."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from scheduler.domain.breaker import Breaker
from scheduler.domain.job import CLIENT_TASKS, DataClass, Task, When
from scheduler.domain.listing import Listing, PriceSource, Protocol, ProviderAccess
from scheduler.domain.offer import Lane, Offer
from scheduler.domain.policy import PlanPolicy, Policy
from scheduler.estimate.features import document_features, script_bytes
from scheduler.store.breakers import lock_breakers, write_breakers
from scheduler.store.budgets import set_budget
from scheduler.store.bulk import copy_rows
from scheduler.store.offers import sync_catalog
from scheduler.store.scopes import ensure_scope

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""When most tests plan; the month's budgets are November's."""

TEXT = "The council met on Monday and approved the budget for the new library. " * 20
PROJECT = "acme/legal/contracts"
TOPIC = "documents.results"
ALL_TASKS = frozenset(CLIENT_TASKS)


def listing(
    name: str,
    *,
    provider: str = "acme-ai",
    usd_per_million: tuple[float, float] = (1.0, 4.0),
    quality: float = 0.8,
    region: str = "",
    lane: Lane = Lane.SYNC,
    tasks: frozenset[Task] = ALL_TASKS,
    certificates: Sequence[str] = (),
    requests_per_minute: int = 1_000_000,
    tokens_per_minute: int = 2_000_000_000,
    context_limit: int = 128_000,
    off_reason: str | None = None,
    first_s: float = 0.5,
) -> Listing:
    """An offer of the catalog; what a test does not say is plenty."""
    offer = Offer(
        name=name,
        provider=provider,
        model=name.rsplit("/", maxsplit=1)[-1],
        input_price=int(usd_per_million[0] * 1_000_000),
        output_price=int(usd_per_million[1] * 1_000_000),
        region=region,
        lane=lane,
        certificates=frozenset(certificates),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        context_limit=context_limit,
        output_limit=4_096,
        concurrency=8,
    )
    seal = hashlib.sha256(f"{name} {usd_per_million}".encode()).digest()
    return Listing(
        offer=offer,
        access=ProviderAccess(name=provider, protocol=Protocol.OPENAI, base_url="http://x"),
        tasks=tasks,
        tokenizer="openai",
        quality_prior_ppm={task: int(quality * 1e6) for task in tasks},
        energy_j=(0.0, 0.3, 3.0),
        pace_s=(first_s, 0.01),
        key_variable=None,
        off_reason=off_reason,
        price=PriceSource(source="test", since=None, digest=seal),
    )


CHEAP = listing("acme-ai/small", usd_per_million=(0.1, 0.4), quality=0.7)
GOOD = listing("acme-ai/large", usd_per_million=(3.0, 12.0), quality=0.95)
FREE = listing(
    "house/extractive", provider="house", usd_per_million=(0, 0), quality=0.5, lane=Lane.INHOUSE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One job to be put into the queue; the columns of `job`, as a client would have said."""

    task: Task = Task.SUMMARIZE
    project: str = PROJECT
    text: str = TEXT
    params: str = "{}"
    priority: int = 5
    deadline: datetime | None = None
    min_quality_ppm: int = 0
    max_cost_nusd: int | None = None
    judged_offer: int = 0
    gain_nusd: int | None = None
    loss_nusd: int | None = None
    residency: Sequence[str] = ()
    data_class: DataClass = DataClass.PUBLIC
    found_class: DataClass = DataClass.PUBLIC
    when: When = When.NOW
    not_before: datetime = NOON
    deferrals: int = 0


def add_offers(conn: Connection, *listings: Listing) -> dict[str, int]:
    """Make the catalog *listings*; ids by name."""
    sync_catalog(conn, listings)
    found = conn.execute(text("SELECT name, id FROM offer"))
    return {row.name: row.id for row in found}


def add_budget(
    conn: Connection,
    usd: float,
    *,
    scope: str = "acme",
    starts_on: date = date(2026, 11, 1),
    ends_on: date = date(2026, 12, 1),
) -> None:
    set_budget(
        conn,
        scope_id=ensure_scope(conn, scope).id,
        starts_on=starts_on,
        ends_on=ends_on,
        limit_nusd=int(usd * 1_000_000_000),
        by="finance",
    )


def rest(conn: Connection, offer_id: int) -> None:
    """Let the offer rest; for the database, it is the day on which the test runs."""
    lock_breakers(conn, [offer_id])
    resting = Breaker(failures=5, resting_until=datetime(2099, 1, 1, tzinfo=UTC))
    write_breakers(conn, {offer_id: resting}, errors={offer_id: "503"})


def add_jobs(conn: Connection, *wishes: Wish) -> list[int]:
    """Queue *wishes*; the jobs' ids, in order."""
    ids = list(
        conn.execute(
            text(
                "SELECT nextval(pg_get_serial_sequence('job', 'id'))"
                " FROM generate_series(1, :count)"
            ),
            {"count": len(wishes)},
        ).scalars()
    )
    documents = [
        _add_document(conn, wish, job_id) for wish, job_id in zip(wishes, ids, strict=True)
    ]
    scopes = {wish.project: ensure_scope(conn, wish.project) for wish in wishes}
    rows = [
        (
            job_id,
            scopes[wish.project].tenant_id,
            scopes[wish.project].id,
            f"job-{job_id}",
            bytes(32),
            document_id,
            wish.task,
            wish.params,
            wish.priority,
            wish.deadline,
            wish.min_quality_ppm,
            wish.max_cost_nusd,
            wish.gain_nusd,
            wish.loss_nusd,
            list(wish.residency),
            wish.data_class,
            wish.when,
            "test",
            wish.not_before,
            wish.deferrals,
        )
        for job_id, document_id, wish in zip(ids, documents, wishes, strict=True)
    ]
    columns = (
        "id tenant_id project_id key digest document_id task params priority deadline"
        " min_quality_ppm max_cost_nusd gain_nusd loss_nusd residency data_class run_when source"
        " not_before deferrals"
    )
    copy_rows(conn, "job", columns.split(), rows)
    return ids


def _add_document(conn: Connection, wish: Wish, number: int) -> int:
    made: int = conn.execute(
        text("""
            INSERT INTO document (tenant_id, digest, bytes, words, body, found_class, features,
                                  token_stats)
            VALUES (:tenant_id, :digest, :bytes, :words, :body, :found_class, :features, :stats)
            RETURNING id
        """),
        {
            "tenant_id": ensure_scope(conn, wish.project).tenant_id,
            "digest": hashlib.sha256(f"{number}".encode()).digest(),
            "bytes": len(wish.text),
            "words": len(wish.text.split()),
            "body": wish.text,
            "found_class": wish.found_class,
            "features": document_features([wish.text]).astype("<f2").tobytes(),
            "stats": script_bytes([wish.text]).astype("<i4").tobytes(),
        },
    ).scalar_one()
    return made


def fill_queue(conn: Connection, count: int, *, projects: int = 5) -> None:
    """Queue *count* more jobs on 100 documents of different lengths, in SQL: fast."""
    [before] = rows(conn, "SELECT count(*) AS documents FROM document")
    rng = np.random.default_rng(1)
    texts = [TEXT[: int(length)] for length in rng.integers(200, len(TEXT), 100)]
    documents = [
        _add_document(conn, Wish(text=one, project="acme/bulk/p0"), -number)
        for number, one in enumerate(texts, start=before.documents + 1)
    ]
    ids = [ensure_scope(conn, f"acme/bulk/p{number}").id for number in range(projects)]
    tenant_id = ensure_scope(conn, "acme").id
    conn.execute(
        text("""
            INSERT INTO job (tenant_id, project_id, key, digest, document_id, task, data_class,
                             priority, source, not_before)
            SELECT :tenant_id, (CAST(:projects AS int[]))[1 + n % :p],
                   'bulk-' || :before || '-' || n,
                   decode(repeat('00', 32), 'hex'), (CAST(:documents AS bigint[]))[1 + n % 100],
                   (ARRAY['summarize', 'classify', 'extract', 'answer'])[1 + n % 4], 'public',
                   1 + n % 9, 'bulk', :noon
            FROM generate_series(1, :count) AS n
        """),
        {
            "tenant_id": tenant_id,
            "projects": ids,
            "p": projects,
            "before": str(before.documents),
            "documents": documents,
            "count": count,
            "noon": NOON,
        },
    )


def policy(**plan: Any) -> Policy:
    """The default policy with these figures of `PlanPolicy`."""
    return replace(Policy(), plan=replace(PlanPolicy(), **plan))


def rows(conn: Connection, query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    return list(conn.execute(text(query), values or {}))
