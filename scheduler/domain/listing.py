"""An offer as the catalog lists it on one day: priced, on or off, and how it is reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from scheduler.domain.job import Task
from scheduler.domain.offer import Offer


class Protocol(StrEnum):
    """What a provider speaks; each has its adapter."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    EXTRACTIVE = "extractive"


class Structured(StrEnum):
    """How far a provider holds an answer to a JSON Schema: not, to any JSON, to the schema."""

    NONE = "none"
    JSON = "json"
    SCHEMA = "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccess:
    """How one offer's provider is called.

    Nothing that may hold a secret appears in its `repr`.

    Attributes:
        name: the provider's, as the catalog has it.
        base_url: up to where the protocol's own path begins; `{model}` stands for the model.
        api_key: empty where none is needed.
        key_header: the header that carries the key; empty for the protocol's own.
        timeout_s: of one call, all in all.
        proxy: the address of the proxy that calls go by; empty where there is none.
        headers, query, body: sent with every call, beside what the protocol says.
        limit_field: OpenAI's name of the output limit, which differs between servers.
        structured: what the model can be held to.
        temperature: whether the model takes one; some refuse it.
    """

    name: str
    protocol: Protocol
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    key_header: str = ""
    timeout_s: float = 120.0
    proxy: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    limit_field: str = "max_tokens"
    structured: Structured = Structured.NONE
    temperature: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSource:
    """Where an offer's price is from, and what pins it down.

    Attributes:
        source: like `catalog` or `genai-prices 0.2.3 openai/gpt-4.1-mini`.
        since: the first day of the price, where the source names one.
        digest: SHA-256 (32 bytes) of offer, figures, source and that day.
    """

    source: str
    since: date | None
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the catalog says of one offer on one day.

    Attributes:
        offer: priced at nothing while the listing is off for want of a price.
        tasks: what it may be given.
        tokenizer: family, as `scheduler.estimate.tokens` knows them.
        quality_prior_ppm: per task, probability (ppm) of a good answer before anything is known.
        energy_j: joules per request, per input token and per output token.
        pace_s: seconds to the first token, and per output token, before anything is observed.
        key_variable: the environment variable of the key; never the key.
        off_reason: None when the offer is on; otherwise what to do to turn it on.
        price: None where no price is known.
    """

    offer: Offer
    access: ProviderAccess
    tasks: frozenset[Task]
    tokenizer: str
    quality_prior_ppm: Mapping[Task, int]
    energy_j: tuple[float, float, float]
    pace_s: tuple[float, float]
    key_variable: str | None
    off_reason: str | None
    price: PriceSource | None

    @property
    def is_on(self) -> bool:
        """Whether jobs may be planned for it."""
        return self.off_reason is None
