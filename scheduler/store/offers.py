"""The catalog in Postgres: synced from what was loaded, and read back as plans use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert

from scheduler.domain.listing import Listing, PriceSource
from scheduler.domain.offer import Lane, Offer
from scheduler.store.catalog_records import prove_catalog
from scheduler.store.tables.catalog import breaker, offer, price, provider

UNLISTED = "no longer in the catalog"
"""Why an offer is off that the catalog does not list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOffer:
    """An offer that plans may use, with the price of today.

    Attributes:
        price_digest: SHA-256 (32 bytes) of offer, price and source.
        pace_s: seconds to the first token, and per output token, before anything is observed.
        resting_until: when its breaker lets calls through again; None when it does.
    """

    id: int
    provider_id: int
    price_id: int
    price_digest: bytes
    offer: Offer
    tasks: frozenset[str]
    tokenizer: str
    quality_prior_ppm: Mapping[str, int]
    pace_s: tuple[float, float]
    resting_until: datetime | None = None

    def rests(self, now: datetime) -> bool:
        """Whether it is to be left alone at *now*."""
        return self.resting_until is not None and self.resting_until > now


def sync_catalog(conn: Connection, listings: Sequence[Listing]) -> None:
    """Make the tables say what *listings* say.

    A changed price is a new row from now on; rows of the past stay as they were billed.  What
    is not listed is turned off, and keeps its history.  What changed has a record.
    """
    provider_ids = _sync_providers(conn, listings)
    changed, priced = [], []
    for one in listings:
        offer_id, is_changed = _sync_offer(conn, one, provider_id=provider_ids[one.offer.provider])
        changed += [offer_id] * is_changed
        if one.price is not None:
            priced += _sync_price(conn, one.offer, one.price, offer_id=offer_id)
    names = [one.offer.name for one in listings]
    unlisted = conn.execute(
        update(offer)
        .where(offer.c.is_on, offer.c.name.not_in(names))
        .values(is_on=False, off_reason=UNLISTED, updated_at=func.now())
        .returning(offer.c.id)
    )
    prove_catalog(conn, offers=[*changed, *unlisted.scalars()], prices=priced)


def plan_offers(conn: Connection) -> list[PlanOffer]:
    """The offers that are on, each with its newest price; by name, so that plans repeat."""
    current = (
        select(price)
        .where(price.c.offer_id == offer.c.id, price.c.effective_from <= func.now())
        .order_by(price.c.effective_from.desc())
        .limit(1)
        .lateral("current")
    )
    rows = conn.execute(
        select(
            offer,
            provider.c.name.label("provider"),
            current.c.id.label("price_id"),
            current.c.digest.label("price_digest"),
            current.c.input_pusd,
            current.c.output_pusd,
            current.c.request_pusd,
            breaker.c.resting_until,
        )
        .join(provider, provider.c.id == offer.c.provider_id)
        .join(current, true())
        .outerjoin(
            breaker, and_(breaker.c.offer_id == offer.c.id, breaker.c.resting_until > func.now())
        )
        .where(offer.c.is_on)
        .order_by(offer.c.name)
    ).mappings()
    return [_plan_offer(row) for row in rows]


def _sync_providers(conn: Connection, listings: Sequence[Listing]) -> dict[str, int]:
    for one in {one.offer.provider: one for one in listings}.values():
        said = {
            "protocol": one.access.protocol,
            "base_url": one.access.base_url,
            "key_variable": one.key_variable,
        }
        conn.execute(
            insert(provider)
            .values(name=one.offer.provider, **said)
            .on_conflict_do_update(index_elements=["name"], set_=said)
        )
    return {row.name: row.id for row in conn.execute(select(provider.c.name, provider.c.id))}


def _sync_offer(conn: Connection, one: Listing, *, provider_id: int) -> tuple[int, bool]:
    """The offer's id, and whether anything of it is new."""
    said = {
        "provider_id": provider_id,
        "model": one.offer.model,
        "region": one.offer.region,
        "lane": one.offer.lane,
        "tasks": sorted(one.tasks),
        "certificates": sorted(one.offer.certificates),
        "requests_per_minute": one.offer.requests_per_minute,
        "tokens_per_minute": one.offer.tokens_per_minute,
        "context_limit": one.offer.context_limit,
        "output_limit": one.offer.output_limit,
        "concurrency": one.offer.concurrency,
        "tokenizer": one.tokenizer,
        "quality_prior": dict(one.quality_prior_ppm),
        "details": {"energy_j": list(one.energy_j), "pace_s": list(one.pace_s)},
        "is_on": one.off_reason is None,
        "off_reason": one.off_reason,
    }
    new = insert(offer).values(name=one.offer.name, **said)
    # Only a real change is written: `updated_at` tells the planner to look at waiting jobs anew.
    changed = conn.execute(
        new.on_conflict_do_update(
            index_elements=["name"],
            set_=said | {"updated_at": func.now()},
            where=or_(*(offer.c[name].is_distinct_from(new.excluded[name]) for name in said)),
        ).returning(offer.c.id)
    ).scalar_one_or_none()
    if changed is not None:
        return changed, True
    here = select(offer.c.id).where(offer.c.name == one.offer.name)
    return conn.execute(here).scalar_one(), False


def _sync_price(
    conn: Connection, listed: Offer, source: PriceSource, *, offer_id: int
) -> list[int]:
    """The id of the price, if it is a new one."""
    newest = conn.execute(
        select(price.c.digest)
        .where(price.c.offer_id == offer_id)
        .order_by(price.c.effective_from.desc())
        .limit(1)
    ).scalar_one_or_none()
    if newest == source.digest:
        return []
    made = conn.execute(
        insert(price)
        .values(
            offer_id=offer_id,
            input_pusd=listed.input_price,
            output_pusd=listed.output_price,
            request_pusd=listed.request_price,
            source=source.source,
            digest=source.digest,
        )
        .returning(price.c.id)
    ).scalar_one()
    conn.execute(update(offer).where(offer.c.id == offer_id).values(updated_at=func.now()))
    return [made]


def _plan_offer(row: Any) -> PlanOffer:
    return PlanOffer(
        id=row["id"],
        provider_id=row["provider_id"],
        price_id=row["price_id"],
        price_digest=row["price_digest"],
        offer=Offer(
            name=row["name"],
            provider=row["provider"],
            model=row["model"],
            input_price=row["input_pusd"],
            output_price=row["output_pusd"],
            request_price=row["request_pusd"],
            region=row["region"],
            lane=Lane(row["lane"]),
            certificates=frozenset(row["certificates"]),
            requests_per_minute=row["requests_per_minute"],
            tokens_per_minute=row["tokens_per_minute"],
            context_limit=row["context_limit"],
            output_limit=row["output_limit"],
            concurrency=row["concurrency"],
        ),
        tasks=frozenset(row["tasks"]),
        tokenizer=row["tokenizer"],
        quality_prior_ppm=row["quality_prior"],
        pace_s=tuple(row["details"]["pace_s"]),
        resting_until=row["resting_until"],
    )
