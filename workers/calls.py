"""What is asked of a provider, and what came back: an answer, or why there is none.

What is made for every call is a tuple: a frozen dataclass takes three times as long to make.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol

from scheduler.domain.errors import Refused, Unavailable


class Finish(StrEnum):
    """Why an answer ended: it was complete, hit its limit, or the provider would not give it.

    OTHER is whatever else a provider names: a fault on its side, or a call of a tool that it was
    not given.
    """

    STOP = "stop"
    LENGTH = "length"
    REFUSAL = "refusal"
    OTHER = "other"


class Billed(StrEnum):
    """Whether a call that brought no answer was billed."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Call(NamedTuple):
    """One question to a model.

    Attributes:
        model: the provider's own name for it.
        output_limit_tokens: the longest answer that is paid for, thinking included.
        schema: a JSON Schema that the answer must follow; sent where the model can be held to it.
        attempt_key: made by us, sent as request id and idempotency key where there is such a thing.
        temperature: sent where the model takes one.
    """

    model: str
    system: str
    prompt: str
    output_limit_tokens: int
    attempt_key: str
    schema: Mapping[str, Any] | None = None
    temperature: float | None = 0.0


class Usage(NamedTuple):
    """Tokens as billed: cached ones are among the input, thinking among the output."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0


class Answer(NamedTuple):
    """What a provider answered; it is billed whatever it is worth.

    Attributes:
        usage: None where the provider reported none, or one that cannot be.
        model: as the provider says it served.
        request_id: the provider's, for a dispute; empty where it gave none.
        seconds: from sending to the last byte.
    """

    text: str
    usage: Usage | None
    finish: Finish
    model: str
    request_id: str
    seconds: float


class Adapter(Protocol):
    """Speaks one protocol to one provider."""

    async def answer(self, call: Call) -> Answer:
        """The provider's answer to *call*; never retried here.

        Raises:
            CallFailed: in one of its kinds; `billed` says whether it may have cost money.
        """
        ...


class CallFailed(Exception):
    """What every failed call says of itself, beside being `Refused` or `Unavailable`.

    Attributes:
        provider: who was called.
        reason: what it said, bounded, without key or document.
        status: HTTP's, where there was one.
        request_id: the provider's, for a dispute; empty where it gave none.
        billed: whether the call may have cost money.
    """

    default_billed: ClassVar[Billed] = Billed.NO
    provider: str
    reason: str
    status: int | None
    request_id: str
    billed: Billed

    def _keep(
        self,
        *,
        provider: str,
        reason: str,
        status: int | None,
        request_id: str,
        billed: Billed | None,
    ) -> None:
        self.provider = provider
        self.reason = reason
        self.status = status
        self.request_id = request_id
        self.billed = self.default_billed if billed is None else billed


class CallUnavailable(CallFailed, Unavailable):
    """The provider may answer the same call later; base of the kinds below."""

    says: ClassVar[str]

    def __init__(
        self,
        *,
        provider: str,
        reason: str,
        status: int | None = None,
        request_id: str = "",
        billed: Billed | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        Unavailable.__init__(self, f"{provider} {self.says}: {reason}", retry_after_s=retry_after_s)
        self._keep(
            provider=provider, reason=reason, status=status, request_id=request_id, billed=billed
        )


class RateLimited(CallUnavailable):
    """The provider wants fewer calls; it did not do this one."""

    says = "asks to slow down"


class ProviderDown(CallUnavailable):
    """The provider could not be reached, or said that it failed; it does not bill for that."""

    says = "is down"


class OutcomeUnknown(CallUnavailable):
    """The call was sent, and what became of it is not known; it may have been billed."""

    says = "gave no answer that can be read"
    default_billed = Billed.UNKNOWN


class CallRefused(CallFailed, Refused):
    """The provider will not do this call; another document may fare better."""

    says: ClassVar[str] = "refused the call"

    def __init__(
        self,
        *,
        provider: str,
        reason: str,
        status: int | None = None,
        request_id: str = "",
        billed: Billed | None = None,
    ) -> None:
        Refused.__init__(self, f"{provider} {self.says}: {reason}")
        self._keep(
            provider=provider, reason=reason, status=status, request_id=request_id, billed=billed
        )


class ContextExceeded(CallRefused):
    """The document is longer than the model takes; shorten it, or choose another offer."""

    says = "takes no document of this length"


class ContentFiltered(CallRefused):
    """The provider's filter turned the document away; some bill the reading of it."""

    says = "filtered the document"
    default_billed = Billed.UNKNOWN


class OfferUnusable(CallRefused):
    """No call to this offer can succeed until a person mends something; base of the kinds below."""


class KeyRejected(OfferUnusable):
    """The provider does not know the key, or does not let it do this."""

    says = "rejected the key (check its environment variable)"


class FundsExhausted(OfferUnusable):
    """The account has no money left, or has reached its own spending limit."""

    says = "has no funds for this account (top it up, or raise its limit there)"


class ModelMissing(OfferUnusable):
    """The provider has no such model, or no such address."""

    says = "does not have the model (check the catalog's model and base_url)"


def plausible(usage: Usage, *, call: Call) -> Usage | None:
    """*usage* if it can be true of *call*, else None; money is posted by it.

    A token is at least a byte of what was sent, and a provider keeps the output limit it
    was given; the margins are for what it adds itself.
    """
    sent_bytes = 4 * (len(call.system) + len(call.prompt) + len(str(call.schema or "")))
    if not 0 < usage.input_tokens <= sent_bytes + 2_000:
        return None
    if not 0 <= usage.cached_input_tokens <= usage.input_tokens:
        return None
    if not 0 <= usage.output_tokens <= call.output_limit_tokens + 16:
        return None
    return usage
