"""Planned work for workers to do: offers, money, documents, jobs, decisions and parcels."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from scheduler.domain.evidence import canonical
from scheduler.domain.job import CLIENT_TASKS, Reduction, Task
from scheduler.domain.ledger import EntryKind
from scheduler.domain.listing import Listing, PriceSource, Protocol, ProviderAccess
from scheduler.domain.offer import Lane, Offer
from scheduler.store.budgets import set_budget
from scheduler.store.bulk import copy_rows
from scheduler.store.ledger import Entry, book
from scheduler.store.offers import PlanOffer, plan_offers, sync_catalog
from scheduler.store.parcels_made import NewParcel, add_parcels, reserve_ids
from scheduler.store.planned_jobs import Planned, give_to_parcels
from scheduler.store.plans import NewPlan, add_decisions, add_plan
from scheduler.store.scopes import Scope, ensure_scope

PROJECT = "acme/legal/contracts"
TEXT = "The council met on Monday and approved the budget for the new library. " * 20
OUTPUT_LIMIT = 400


def listing(
    name: str,
    *,
    url: str = "",
    protocol: Protocol = Protocol.OPENAI,
    model: str = "",
    usd_per_million: tuple[int, int] = (1, 4),
    requests_per_minute: int = 6_000_000,
    tokens_per_minute: int = 2_000_000_000,
    concurrency: int = 64,
    timeout_s: float = 20.0,
    api_key: str = "",
    off_reason: str | None = None,
) -> Listing:
    """An offer of the provider that *name* begins with, reached at *url*."""
    provider = name.partition("/")[0]
    offer = Offer(
        name=name,
        provider=provider,
        model=model or name.partition("/")[2],
        input_price=usd_per_million[0] * 1_000_000,
        output_price=usd_per_million[1] * 1_000_000,
        lane=Lane.SYNC,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        context_limit=128_000,
        output_limit=4_096,
        concurrency=concurrency,
    )
    access = ProviderAccess(
        name=provider, protocol=protocol, base_url=url, timeout_s=timeout_s, api_key=api_key
    )
    return Listing(
        offer=offer,
        access=access,
        tasks=frozenset(CLIENT_TASKS),
        tokenizer="openai",
        quality_prior_ppm=dict.fromkeys(CLIENT_TASKS, 800000),
        energy_j=(0.0, 0.3, 3.0),
        pace_s=(0.5, 0.01),
        key_variable=None,
        off_reason=off_reason,
        price=PriceSource(
            source="test",
            since=None,
            digest=hashlib.sha256(f"{name} {usd_per_million}".encode()).digest(),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One job to be planned; *path* instead of a text is a document in a file."""

    key: str
    text: str = TEXT
    path: str | None = None
    task: Task = Task.SUMMARIZE
    params: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    max_cost_nusd: int | None = None
    reduction: Reduction = Reduction.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was planned."""

    plan_id: int
    parcel_ids: list[int]
    job_ids: list[int]
    offers: dict[str, PlanOffer]


def wishes(count: int, *, text: str = TEXT, start: int = 0) -> list[Wish]:
    return [Wish(key=f"job-{n}", text=f"{text} ({n})") for n in range(start, start + count)]


def add_budget(conn: Connection, usd: int | float, *, scope: str = "acme") -> None:
    """Money for this month and the next."""
    today = datetime.now(UTC).date()
    set_budget(
        conn,
        scope_id=ensure_scope(conn, scope).id,
        starts_on=today.replace(day=1),
        ends_on=today.replace(day=1) + timedelta(days=62),
        limit_nusd=int(usd * 1_000_000_000),
        by="finance",
    )


def plan(
    conn: Connection,
    jobs: Sequence[Wish],
    *,
    listings: Sequence[Listing],
    project: str = PROJECT,
    parcel_jobs: int = 256,
    attempt_limit: int = 5,
    output_tokens: int = 150,
    output_limit: int = OUTPUT_LIMIT,
) -> Made:
    """Plan *jobs* for the first of *listings*, with the others as the next best, in this order.

    A reservation covers the longest prompt that the text can be, and *output_limit* tokens.
    """
    sync_catalog(conn, listings)
    offers = {one.offer.name: one for one in plan_offers(conn)}
    names = [one.offer.name for one in listings if one.is_on]
    scope = ensure_scope(conn, project)
    _take_in(conn, jobs, project=project)
    rows = conn.execute(
        text(
            "SELECT job.id, job.xmin::text::bigint AS version, document.bytes FROM job"
            " JOIN document ON document.id = document_id WHERE state = 'queued' ORDER BY job.id"
        )
    ).all()
    assert len(rows) == len(jobs)
    options = [
        [_option(offers[name], row.bytes, wish, output_tokens, output_limit) for name in names]
        for row, wish in zip(rows, jobs, strict=True)
    ]
    reserved = [found[0]["reserved_nusd"] for found in options]
    plan_id = add_plan(conn, _new_plan(len(jobs), sum(reserved)))
    parcels = [min(parcel_jobs, len(rows) - at) for at in range(0, len(rows), parcel_jobs)]
    parcel_ids = _parcels(
        conn, offers[names[0]], parcels, plan_id=plan_id, attempt_limit=attempt_limit
    )
    today = datetime.now(UTC).date()
    parcel_of = [at for at, count in zip(parcel_ids, parcels, strict=True) for _ in range(count)]
    give_to_parcels(
        conn,
        Planned(
            job_ids=[row.id for row in rows],
            versions=[row.version for row in rows],
            parcel_ids=parcel_of,
            reserved_nusd=reserved,
        ),
        plan_id=plan_id,
        booked_on=today,
    )
    add_decisions(
        conn,
        plan_id=plan_id,
        rows=[_decision(row.id, found) for row, found in zip(rows, options, strict=True)],
    )
    ids = [row.id for row in rows]
    _set_aside(conn, dict(zip(ids, reserved, strict=True)), scope=scope, plan_id=plan_id, on=today)
    return Made(plan_id=plan_id, parcel_ids=parcel_ids, job_ids=ids, offers=offers)


def _set_aside(
    conn: Connection, nusd: Mapping[int, int], *, scope: Scope, plan_id: int, on: date
) -> None:
    """Book for each job what is set aside for it."""
    entries = [
        Entry(
            kind=EntryKind.RESERVATION,
            amount_nusd=amount_nusd,
            tenant_id=scope.tenant_id,
            project_id=scope.id,
            booked_on=on,
            job_id=job_id,
            plan_id=plan_id,
        )
        for job_id, amount_nusd in nusd.items()
        if amount_nusd
    ]
    book(conn, entries)


def _parcels(
    conn: Connection, offer: PlanOffer, jobs: Sequence[int], *, plan_id: int, attempt_limit: int
) -> list[int]:
    """Parcels of so many *jobs* each, for *offer*; their ids."""
    ids = reserve_ids(conn, count=len(jobs))
    parcels = [
        NewParcel(
            offer_id=offer.id,
            provider_id=offer.provider_id,
            jobs=count,
            tokens=count,
            due_at=datetime.now(UTC),
        )
        for count in jobs
    ]
    add_parcels(conn, parcels, ids=ids, plan_id=plan_id, attempt_limit=attempt_limit)
    return ids


def _take_in(conn: Connection, jobs: Sequence[Wish], *, project: str) -> None:
    scope = ensure_scope(conn, project)
    sizes = [len(wish.text.encode()) for wish in jobs]
    copy_rows(
        conn,
        "document",
        ["tenant_id", "digest", "bytes", "words", "body", "path", "features", "token_stats"],
        [
            (
                scope.tenant_id,
                hashlib.sha256(wish.text.encode()).digest(),
                size,
                size // 5,
                None if wish.path else wish.text,
                wish.path,
                b"",
                b"",
            )
            for wish, size in zip(jobs, sizes, strict=True)
        ],
    )
    # Each wish has a text of its own, and so the newest documents are theirs, in their order.
    documents = conn.execute(
        text("SELECT id FROM document ORDER BY id DESC LIMIT :count"), {"count": len(jobs)}
    ).scalars()
    copy_rows(
        conn,
        "job",
        [
            "tenant_id",
            "project_id",
            "key",
            "digest",
            "document_id",
            "task",
            "params",
            "tags",
            "max_cost_nusd",
            "data_class",
            "source",
        ],
        [
            (
                scope.tenant_id,
                scope.id,
                wish.key,
                hashlib.sha256(wish.key.encode()).digest(),
                document_id,
                wish.task,
                json.dumps(wish.params),
                json.dumps(wish.tags),
                wish.max_cost_nusd,
                "public",
                "test",
            )
            for wish, document_id in zip(jobs, sorted(documents), strict=True)
        ],
    )


def _option(
    offer: PlanOffer, size: int, wish: Wish, output_tokens: int, output_limit: int
) -> dict[str, Any]:
    input_tokens = size + 400
    cost = offer.offer.cost_nusd
    return {
        "offer_id": offer.id,
        "price_id": offer.price_id,
        "reduction": wish.reduction,
        "cost_nusd": cost(input_tokens=input_tokens, output_tokens=output_tokens),
        "reserved_nusd": cost(input_tokens=input_tokens, output_tokens=output_limit),
        "quality_ppm": 800_000,
        "quality_low_ppm": 700_000,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "output_limit": output_limit,
    }


def _decision(job_id: int, options: list[dict[str, Any]]) -> tuple[Any, ...]:
    chosen, *others = options
    return (job_id, *chosen.values(), canonical(others), None)


def _new_plan(jobs: int, reserved_nusd: int) -> NewPlan:
    return NewPlan(
        window_kind="asked",
        jobs=jobs,
        planned=jobs,
        deferred=0,
        value=0.0,
        bound=0.0,
        gap=0.0,
        passes=0,
        solve_s=0.0,
        seed=1,
        cost_nusd=0,
        reserved_nusd=reserved_nusd,
        rows=[],
        inputs={},
        decisions_digest=bytes(32),
    )
