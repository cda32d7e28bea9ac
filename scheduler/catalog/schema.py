"""The catalog file's shape: providers, what they offer, and what is the same for all they offer."""

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from scheduler.domain.job import CLIENT_TASKS, Task
from scheduler.domain.listing import Protocol, Structured
from scheduler.domain.offer import Lane


def _decimal(value: Any) -> Any:
    """Numbers of the file, which come as int or Decimal; `bool` is an int, and no amount."""
    return Decimal(value) if type(value) is int else value


def _float(value: Any) -> Any:
    return float(value) if type(value) in (int, Decimal) else value


def _plain(value: Any) -> Any:
    """What goes into a request as it stands: JSON has no Decimal."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value


_OURS: Final = frozenset(
    {
        "candidateCount",
        "contents",
        "max_completion_tokens",
        "max_tokens",
        "maxOutputTokens",
        "messages",
        "model",
        "n",
        "stream",
        "system",
        "systemInstruction",
    }
)
"""What every call says of itself; another word for it would cost what nobody has set aside."""


def _left_alone(body: dict[str, Any]) -> dict[str, Any]:
    inner = body.get("generationConfig")
    ours = _OURS & (body.keys() | (inner.keys() if isinstance(inner, dict) else set()))
    if ours:
        raise ValueError(f"{min(ours)} is set by every call; leave it out")
    return body


Amount = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, le=1_000_000)]
Share = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, le=1)]
Number = Annotated[float, BeforeValidator(_float), Field(ge=0, le=1_000_000)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]

_Lax = Field(strict=False)
"""For enumerations: the file holds their text."""


class Entry(BaseModel):
    """Everything in the file: unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Price(Entry):
    """A price from a day on, until a later entry's day."""

    since: Annotated[date, Field(alias="from")]
    input_usd_per_million: Amount
    output_usd_per_million: Amount
    request_usd: Amount = Decimal(0)


class Energy(Entry):
    """Joules of a call; the defaults are those of a large model on shared hardware."""

    request_j: Number = 0.0
    input_token_j: Number = 0.3
    output_token_j: Number = 3.0


class Pace(Entry):
    """How long a call takes before anything was observed."""

    first_token_s: Number = 0.8
    output_token_s: Number = 1 / 60


class Common(Entry):
    """What an offer says, or its provider for all its offers."""

    region: str | None = None
    lane: Annotated[Lane, _Lax] | None = None
    certificates: list[str] | None = None
    tasks: list[Annotated[Task, _Lax]] | None = None
    tokenizer: str | None = None
    quality: dict[Annotated[Task, _Lax], Share] | None = None
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrency: Count | None = None
    context_limit: Count | None = None
    output_limit: Count | None = None
    timeout_s: Annotated[Number, Field(gt=0)] | None = None
    structured: Annotated[Structured, _Lax] | None = None
    temperature: bool | None = None
    limit_field: str | None = None
    body: Annotated[dict[str, Any], BeforeValidator(_plain), AfterValidator(_left_alone)] | None = (
        None
    )
    energy: Energy | None = None
    pace: Pace | None = None
    prices_from: Name | None = None


class OfferEntry(Common):
    """One offer.

    `model_variable` names an environment variable that replaces `model`; `prices_as` is the
    model's name in genai-prices where that differs; `prices` are used instead of them.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    model_variable: Variable | None = None
    name: Name | None = None
    prices_as: str | None = None
    prices: list[Price] = []
    off: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("prices")
    @classmethod
    def _one_a_day(cls, prices: list[Price]) -> list[Price]:
        days = [price.since for price in prices]
        if len(set(days)) < len(days):
            raise ValueError("two prices begin on the same day")
        return prices


DEFAULTS: Final[dict[str, Any]] = {
    "region": "",
    "lane": Lane.SYNC,
    "certificates": [],
    "tasks": list(CLIENT_TASKS),
    "tokenizer": "other",
    "quality": {},
    "timeout_s": 120.0,
    "structured": Structured.NONE,
    "temperature": True,
    "limit_field": "max_tokens",
    "body": {},
    "energy": Energy(),
    "pace": Pace(),
    "prices_from": None,
}
"""Where neither offer nor provider says anything.  Limits have none: a wrong one costs dearly."""

REQUIRED: Final = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrency",
    "context_limit",
    "output_limit",
)
QUALITY: Final = Decimal("0.7")
"""Of an offer and a task that the file says nothing about."""


class Provider(Common):
    """One provider, and what it offers.

    It is on when its address and its key are there: `base_url` or the environment's
    `base_url_variable`, and `key_variable` where one is named.
    """

    protocol: Annotated[Protocol, _Lax]
    base_url: str = ""
    base_url_variable: Variable | None = None
    key_variable: Variable | None = None
    key_header: str = ""
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    off: Annotated[str, Field(min_length=1)] | None = None
    offers: Annotated[list[OfferEntry], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for offer in self.offers:
            missing = [name for name in REQUIRED if self.of(offer, name) is None]
            if missing:
                raise ValueError(
                    f"the offer {offer.model} lacks {', '.join(missing)}; "
                    "say it there, or on the provider for all its offers"
                )
        return self

    def of(self, offer: OfferEntry, name: str) -> Any:
        """What holds for *offer*: its own word, its provider's, or the default."""
        for said in (getattr(offer, name), getattr(self, name)):
            if said is not None:
                return said
        return DEFAULTS.get(name)

    def called(self, name: str, offer: OfferEntry) -> str:
        """*offer*'s name; if it has none, like `openai/gpt-4.1-mini@us`, or `...:batch`."""
        region = self.of(offer, "region")
        batch = ":batch" if self.of(offer, "lane") is Lane.BATCH else ""
        return offer.name or f"{name}/{offer.model}{f'@{region}' if region else ''}{batch}"


class Catalog(Entry):
    """The whole file."""

    providers: Annotated[dict[Name, Provider], Field(min_length=1)]

    @model_validator(mode="after")
    def _tells_offers_apart(self) -> Self:
        names = Counter(
            provider.called(name, offer)
            for name, provider in self.providers.items()
            for offer in provider.offers
        )
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"two offers are called {twice[0]}; give one of them a `name`")
        return self
