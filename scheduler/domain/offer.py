"""A model as one provider sells it, and what a request to it costs."""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.money import PUSD_PER_NUSD


class Lane(StrEnum):
    """How an offer is called: at once, in the provider's batch, or on own machines."""

    SYNC = "sync"
    BATCH = "batch"
    INHOUSE = "inhouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The price and the pace of one model at one provider.

    Money is whole numbers throughout, so a plan adds up to the same cost on every
    machine and can go to the solver as it is.  A price list's USD per million
    tokens, times a million, is this class's pUSD per token.

    Attributes:
        name: unique in the catalog, like `openai/gpt-4.1-mini@us`; what people read.
        provider: the catalog's name of who is called.
        model: the provider's own name for the model, dated where it has a date.
        input_price: pUSD (1e-12 USD) per input token.
        output_price: pUSD per output token.
        request_price: pUSD per request.
        region: where the document is processed, like `us` or `eu`; empty when unknown.
        certificates: what the provider is certified for, like `hipaa`.
        requests_per_minute: the most calls the provider accepts, over all workers.
        tokens_per_minute: the most tokens, input and output together.
        context_limit: tokens, input and output together.
        output_limit: the most tokens one answer may have.
        concurrency: the most calls in flight, over all workers.
    """

    name: str
    provider: str
    model: str
    input_price: int
    output_price: int
    request_price: int = 0
    region: str = ""
    lane: Lane = Lane.SYNC
    certificates: frozenset[str] = frozenset()
    requests_per_minute: int
    tokens_per_minute: int
    context_limit: int
    output_limit: int
    concurrency: int

    def __post_init__(self) -> None:
        if min(self.input_price, self.output_price, self.request_price) < 0:
            raise ValueError(f"{self.name}: a price is negative")
        limits = {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "context_limit": self.context_limit,
            "output_limit": self.output_limit,
            "concurrency": self.concurrency,
        }
        for limit, figure in limits.items():
            if figure <= 0:
                raise ValueError(f"{self.name}: {limit} must be positive")

    def cost_nusd(self, *, input_tokens: int, output_tokens: int) -> int:
        """Cost of one request in nUSD (1e-9 USD), rounded up.

        >>> mini = Offer(name="x/mini", provider="x", model="mini", input_price=150_000,
        ...              output_price=600_000, requests_per_minute=500,
        ...              tokens_per_minute=200_000, context_limit=128_000,
        ...              output_limit=16_384, concurrency=8)
        >>> mini.cost_nusd(input_tokens=1_000, output_tokens=200)
        270000
        """
        cost_pusd = (
            self.request_price + input_tokens * self.input_price + output_tokens * self.output_price
        )
        return -(-cost_pusd // PUSD_PER_NUSD)
