"""Offers and prices as those who call them need them."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from scheduler.domain.money import PUSD_PER_NUSD
from scheduler.store.pace import Limit
from scheduler.store.tables.catalog import offer, price, provider


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledOffer:
    """An offer, as far as a call to it needs.

    Attributes:
        concurrency: the most calls in flight, over all workers.
        off_reason: why nothing may be sent to it; None where it may.
    """

    id: int
    name: str
    provider: str
    model: str
    requests_per_minute: int
    tokens_per_minute: int
    output_limit: int
    concurrency: int
    off_reason: str | None

    @property
    def limit(self) -> Limit:
        """What all workers together may ask of it."""
        return Limit(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

    @property
    def off_text(self) -> str | None:
        """The same for people, with the offer's name."""
        return None if self.off_reason is None else f"{self.name} is off: {self.off_reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """pUSD (1e-12 USD) per token and per request; a row of the past never changes."""

    input_pusd: int
    output_pusd: int
    request_pusd: int

    def cost_nusd(self, *, input_tokens: int, output_tokens: int) -> int:
        """Cost of one request in nUSD, rounded up."""
        cost_pusd = (
            self.request_pusd + input_tokens * self.input_pusd + output_tokens * self.output_pusd
        )
        return -(-cost_pusd // PUSD_PER_NUSD)


def read_offers(conn: Connection) -> list[CalledOffer]:
    """All offers, those that are off too."""
    rows = conn.execute(
        select(
            offer.c.id,
            offer.c.name,
            provider.c.name.label("provider"),
            offer.c.model,
            offer.c.requests_per_minute,
            offer.c.tokens_per_minute,
            offer.c.output_limit,
            offer.c.concurrency,
            offer.c.off_reason,
        ).join(provider, provider.c.id == offer.c.provider_id)
    )
    return [CalledOffer(**row._asdict()) for row in rows]


def read_prices(conn: Connection, *, after: int) -> dict[int, Price]:
    """The prices by id, of those that were added after the one with the id *after*."""
    rows = conn.execute(
        select(price.c.id, price.c.input_pusd, price.c.output_pusd, price.c.request_pusd).where(
            price.c.id > after
        )
    )
    return {
        row.id: Price(
            input_pusd=row.input_pusd, output_pusd=row.output_pusd, request_pusd=row.request_pusd
        )
        for row in rows
    }


def provider_id(conn: Connection, name: str) -> int | None:
    """The id of the provider called *name*."""
    return conn.execute(select(provider.c.id).where(provider.c.name == name)).scalar_one_or_none()
