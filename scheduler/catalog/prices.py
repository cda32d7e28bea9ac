"""What an offer costs on a day: the catalog's own price, or genai-prices'."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import ROUND_CEILING, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from scheduler.catalog.schema import Price
from scheduler.catalog.terms import Terms
from scheduler.domain.errors import Refused
from scheduler.domain.evidence import canonical
from scheduler.domain.listing import PriceSource
from scheduler.domain.money import PUSD_PER_USD
from scheduler.domain.offer import Lane

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

FLEX = "flex"
"""The service tier that never costs more than the list, where it is not another name for it."""
_MILLION = 1_000_000


class NoPrice(Refused):
    """An offer has no price on a day, so it cannot be bought; the message says how to give one."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}; no price, no call: give its `prices` in the catalog to turn it on"
        )
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A price on a day, in pUSD per token and per request."""

    input_pusd: int
    output_pusd: int
    request_pusd: int
    source: PriceSource


def own_price(prices: Sequence[Price], *, offer: str, today: date) -> Priced:
    """The newest of the catalog's own *prices* that holds *today*.

    Raises:
        NoPrice: all of them begin later.
    """
    begun = [one for one in prices if one.since <= today]
    if not begun:
        first = min(one.since for one in prices)
        raise NoPrice(f"its price begins on {first}")
    newest = max(begun, key=lambda one: one.since)
    return _priced(
        offer=offer,
        source="catalog",
        since=newest.since,
        input_pusd=_per_token(newest.input_usd_per_million),
        output_pusd=_per_token(newest.output_usd_per_million),
        request_pusd=_up(newest.request_usd * PUSD_PER_USD),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a price is looked up for.

    Attributes:
        offer: the catalog's name of it.
        provider, model: as genai-prices names them.
        context_limit: where a price rises with the length of the input, the offer must stay below.
        terms: what in its calls makes the price another.
    """

    offer: str
    provider: str
    model: str
    lane: Lane
    context_limit: int
    terms: Terms = field(default_factory=Terms)


def listed_price(wanted: Wanted, *, today: date) -> Priced:
    """genai-prices' price on *today*; where it differs by the hour, the dearest hour's.

    Raises:
        NoPrice: it is not known, or not for this lane.
    """
    found = _model(wanted.provider, wanted.model)
    if found is None:
        raise NoPrice(f"genai-prices knows no {wanted.model} of {wanted.provider}")
    tier = _tier(found, wanted)
    hours = [
        found.get_prices(datetime.combine(today, time(hour), tzinfo=UTC), tier)
        for hour in range(24)
    ]
    figures = [_figures(one, wanted) for one in hours]
    return _priced(
        offer=wanted.offer,
        source=f"genai-prices {_version()} {wanted.provider}/{found.id}",
        since=_since(found, today),
        input_pusd=_per_token(max(one[0] for one in figures)),
        output_pusd=_per_token(max(one[1] for one in figures)),
        request_pusd=_up(max(one[2] for one in figures) * PUSD_PER_USD / 1000),
    )


def _tier(found: "ModelInfo", wanted: Wanted) -> dict[str, Any]:
    """What the price varies by; a tier that may be dearer than the list must be known."""
    tier = dict(wanted.terms.tier)
    known = [one.when for one in found.price_variants or ()]
    for name, value in tier.items():
        if value != FLEX and {name: value} not in known:
            raise NoPrice(
                f"genai-prices knows no price of {wanted.provider}'s {wanted.model} for its "
                f"{name} {value}"
            )
    if wanted.lane is Lane.BATCH and ("service_tier", FLEX) not in tier.items():
        # Workers know no other way of calling; the ledger would say half of the bill.
        raise NoPrice(
            "its calls are made at once and billed so, not as a batch; leave out its `lane`, or "
            "ask for `service_tier: flex` in its `body` where there is one"
        )
    return tier


def _figures(prices: "ModelPrice", wanted: Wanted) -> tuple[Decimal, Decimal, Decimal]:
    """USD per million input and output tokens, and per thousand requests."""
    if prices.input_mtok is None or prices.output_mtok is None:
        raise NoPrice("genai-prices names no price per token for it")

    def dearest(*figures: Any) -> Decimal:
        most = max(_flat(one, wanted.context_limit) for one in figures if one is not None)
        return most * wanted.terms.surcharge

    written = (prices.cache_write_mtok, prices.cache_write_1h_mtok) if wanted.terms.caches else ()
    return (
        dearest(prices.input_mtok, *written),
        # Thinking is reported as output; where it costs more, all output is reckoned at that.
        dearest(prices.output_mtok, prices.output_reasoning_mtok),
        dearest(prices.requests_kcount, Decimal(0)),
    )


def _flat(price: Any, context_limit: int) -> Decimal:
    """*price*, or the lowest tier's where the offer's inputs all stay within it."""
    if isinstance(price, Decimal):
        return price
    rise = price.tiers[0].start
    if context_limit > rise:
        raise NoPrice(
            f"its price rises above {rise} input tokens; set its context_limit to {rise} or less"
        )
    base = price.base
    assert isinstance(base, Decimal), base
    return base


@cache
def _model(provider: str, model: str) -> "ModelInfo | None":
    # Imported here: its data takes a fifth of a second, and a catalog may not need it.
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, provider, None)[1]
    except LookupError:
        return None


@cache
def _version() -> str:
    from genai_prices import __version__

    return __version__


def _since(model: "ModelInfo", today: date) -> date | None:
    """From when on the price of *today* has held, where that is known."""
    if not isinstance(model.prices, list):
        return None
    begun = [
        start
        for one in model.prices
        if (start := getattr(one.constraint, "start_date", None)) is not None and start <= today
    ]
    return max(begun, default=None)


def _per_token(usd_per_million: Decimal) -> int:
    return _up(usd_per_million * PUSD_PER_USD / _MILLION)


def _up(pusd: Decimal) -> int:
    return int(pusd.to_integral_value(rounding=ROUND_CEILING))


def _priced(
    *,
    offer: str,
    source: str,
    since: date | None,
    input_pusd: int,
    output_pusd: int,
    request_pusd: int,
) -> Priced:
    facts = {
        "offer": offer,
        "source": source,
        "since": since.isoformat() if since else None,
        "input_pusd": input_pusd,
        "output_pusd": output_pusd,
        "request_pusd": request_pusd,
    }
    pinned = hashlib.sha256(canonical(facts).encode()).digest()
    return Priced(
        input_pusd=input_pusd,
        output_pusd=output_pusd,
        request_pusd=request_pusd,
        source=PriceSource(source=source, since=since, digest=pinned),
    )
