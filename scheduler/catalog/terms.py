"""What in an offer's requests makes its price another than the list's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from scheduler.domain.listing import Protocol

REGIONAL: Final = Decimal("1.1")
"""What OpenAI's regional addresses and Anthropic's `inference_geo` cost, to the list's price."""

_LISTED: Final = frozenset({"auto", "default", "on_demand", "standard", "standard_only"})
_TIERS: Final = {"service_tier": "service_tier", "serviceTier": "service_tier", "speed": "speed"}
_OPENAI: Final = ".api.openai.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of an offer's calls.

    Attributes:
        tier: what genai-prices calls the variants of a price by, like `service_tier: flex`.
        caches: whether prompts are written to a cache, and billed for that.
        surcharge: what every price is multiplied by.
    """

    tier: Mapping[str, str] = field(default_factory=dict)
    caches: bool = False
    surcharge: Decimal = Decimal(1)


def terms_of(protocol: Protocol, *, base_url: str, body: Mapping[str, Any]) -> Terms:
    """The terms of calls to *base_url* that hold the catalog's *body*."""
    said = {ours: str(body[name]).lower() for name, ours in _TIERS.items() if body.get(name)}
    return Terms(
        tier={name: value for name, value in said.items() if value not in _LISTED},
        caches=_caches(protocol, body),
        surcharge=REGIONAL if _is_regional(base_url, body) else Decimal(1),
    )


def _caches(protocol: Protocol, body: Mapping[str, Any]) -> bool:
    """OpenAI's newer models do it unasked, Anthropic's where the request says so."""
    if protocol is Protocol.ANTHROPIC:
        return bool(body.get("cache_control"))
    options = body.get("prompt_cache_options")
    mode = options.get("mode") if isinstance(options, Mapping) else None
    return protocol is Protocol.OPENAI and mode != "explicit"


def _is_regional(base_url: str, body: Mapping[str, Any]) -> bool:
    host = base_url.partition("://")[2].partition("/")[0]
    return host.endswith(_OPENAI) or body.get("inference_geo", "global") != "global"
