"""The catalog on one day and in one environment: every offer, on or off, and why."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from urllib.parse import urlsplit

from scheduler.catalog.prices import NoPrice, Priced, Wanted, listed_price, own_price
from scheduler.catalog.proxies import BadProxy, proxy_for
from scheduler.catalog.schema import QUALITY, Catalog, OfferEntry, Provider
from scheduler.catalog.terms import terms_of
from scheduler.domain.job import Task
from scheduler.domain.listing import Listing, Protocol, ProviderAccess
from scheduler.domain.offer import Offer

SANDBOX = "sandbox"
"""The provider that sells nothing: its answers are made up, and its prices are not paid.

A catalog may have more of them, each called `sandbox-` and something.
"""
PPM = 1_000_000
_LOGIN = re.compile(r"//[^/]*@")


def offers_on(catalog: Catalog, *, today: date, environ: Mapping[str, str]) -> list[Listing]:
    """Every offer of *catalog* as it is *today*, those that are off among them."""
    return [
        _listing(name, provider, offer, today=today, environ=environ)
        for name, provider in catalog.providers.items()
        for offer in provider.offers
    ]


def prices_digest(listings: Iterable[Listing]) -> bytes:
    """SHA-256 (32 bytes) of all prices, for the evidence of what was decided by them."""
    pinned = sorted(one.price.digest for one in listings if one.price is not None)
    return hashlib.sha256(b"".join(pinned)).digest()


def sandbox_offers(listings: Iterable[Listing]) -> dict[str, Offer]:
    """What the sandbox sells, by model: the server bills by the same prices as the ledger."""
    return {
        one.offer.model: one.offer
        for one in listings
        if one.offer.provider.partition("-")[0] == SANDBOX
    }


def _listing(
    name: str, provider: Provider, offer: OfferEntry, *, today: date, environ: Mapping[str, str]
) -> Listing:
    base_url = _setting(environ, provider.base_url_variable) or provider.base_url
    key = _setting(environ, provider.key_variable)
    model = _setting(environ, offer.model_variable) or offer.model
    called = provider.called(name, offer)
    reason = (
        offer.off
        or provider.off
        or _address_reason(provider, base_url)
        or _key_reason(provider, key)
    )
    proxy = ""
    if reason is None and provider.protocol is not Protocol.EXTRACTIVE:
        try:
            proxy = proxy_for(base_url, environ)
        except BadProxy as error:
            reason = str(error)
    priced: Priced | None = None
    try:
        priced = _price(
            name, provider, offer, called=called, model=model, base_url=base_url, today=today
        )
    except NoPrice as error:
        reason = reason or str(error)
    return Listing(
        offer=_offer(name, provider, offer, called=called, model=model, priced=priced),
        # Without what the reason is about: this is stored and shown, off or on.
        access=_access(
            name, provider, offer, base_url=_LOGIN.sub("//", base_url), key=key, proxy=proxy
        ),
        tasks=frozenset(provider.of(offer, "tasks")),
        tokenizer=provider.of(offer, "tokenizer"),
        quality_prior_ppm=_quality_ppm(provider, offer),
        energy_j=_energy_j(provider, offer),
        pace_s=_pace_s(provider, offer),
        key_variable=provider.key_variable,
        off_reason=reason,
        price=None if priced is None else priced.source,
    )


def _setting(environ: Mapping[str, str], variable: str | None) -> str:
    return environ.get(variable, "").strip() if variable else ""


def _address_reason(provider: Provider, base_url: str) -> str | None:
    if provider.protocol is Protocol.EXTRACTIVE:
        return None
    if not base_url:
        variable = provider.base_url_variable
        return f"set {variable} to its address" if variable else "give its base_url in the catalog"
    if not base_url.startswith(("http://", "https://")):
        return f"its address must begin with http:// or https://, not {base_url[:8]!r}"
    try:
        parts = urlsplit(base_url)
        # Each of them may be what nobody can connect to.
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError as error:
        return f"its address cannot be read: {error}"
    if not parts.hostname:
        return "its address names no host"
    if "?" in base_url or "#" in base_url:
        return "its address must end before the ?; put what stands behind it into `query`"
    if "@" in parts.netloc:
        # The address is in the database and in messages, and a key stands in the same header.
        return "its address holds a name or password; put them into `headers`, as Authorization"
    return None


def _key_reason(provider: Provider, key: str) -> str | None:
    if provider.key_variable is None:
        return None
    if not key:
        return f"set {provider.key_variable} to its API key"
    if not re.fullmatch(r"[!-~]+", key):
        return f"{provider.key_variable} holds characters that no API key has"
    return None


def _price(
    name: str,
    provider: Provider,
    offer: OfferEntry,
    *,
    called: str,
    model: str,
    base_url: str,
    today: date,
) -> Priced:
    if offer.prices:
        return own_price(offer.prices, offer=called, today=today)
    wanted = Wanted(
        offer=called,
        provider=provider.of(offer, "prices_from") or name,
        model=offer.prices_as or model,
        lane=provider.of(offer, "lane"),
        context_limit=provider.of(offer, "context_limit"),
        terms=terms_of(provider.protocol, base_url=base_url, body=provider.of(offer, "body")),
    )
    return listed_price(wanted, today=today)


def _offer(
    name: str,
    provider: Provider,
    offer: OfferEntry,
    *,
    called: str,
    model: str,
    priced: Priced | None,
) -> Offer:
    return Offer(
        name=called,
        provider=name,
        model=model,
        input_price=priced.input_pusd if priced else 0,
        output_price=priced.output_pusd if priced else 0,
        request_price=priced.request_pusd if priced else 0,
        region=provider.of(offer, "region"),
        lane=provider.of(offer, "lane"),
        certificates=frozenset(provider.of(offer, "certificates")),
        requests_per_minute=provider.of(offer, "requests_per_minute"),
        tokens_per_minute=provider.of(offer, "tokens_per_minute"),
        context_limit=provider.of(offer, "context_limit"),
        output_limit=provider.of(offer, "output_limit"),
        concurrency=provider.of(offer, "concurrency"),
    )


def _access(
    name: str, provider: Provider, offer: OfferEntry, *, base_url: str, key: str, proxy: str
) -> ProviderAccess:
    return ProviderAccess(
        name=name,
        protocol=provider.protocol,
        base_url=base_url,
        api_key=key,
        key_header=provider.key_header,
        timeout_s=provider.of(offer, "timeout_s"),
        proxy=proxy,
        headers=provider.headers,
        query=provider.query,
        body=provider.of(offer, "body"),
        limit_field=provider.of(offer, "limit_field"),
        structured=provider.of(offer, "structured"),
        temperature=provider.of(offer, "temperature"),
    )


def _quality_ppm(provider: Provider, offer: OfferEntry) -> dict[Task, int]:
    said = provider.of(offer, "quality")
    return {task: int(said.get(task, QUALITY) * PPM) for task in provider.of(offer, "tasks")}


def _energy_j(provider: Provider, offer: OfferEntry) -> tuple[float, float, float]:
    energy = provider.of(offer, "energy")
    return energy.request_j, energy.input_token_j, energy.output_token_j


def _pace_s(provider: Provider, offer: OfferEntry) -> tuple[float, float]:
    pace = provider.of(offer, "pace")
    return pace.first_token_s, pace.output_token_s
