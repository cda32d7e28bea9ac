"""What a provider's error answer means: each protocol's words, sorted into our kinds."""

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from scheduler.domain.listing import ProviderAccess
from workers.calls import (
    Call,
    CallFailed,
    CallRefused,
    ContentFiltered,
    ContextExceeded,
    FundsExhausted,
    KeyRejected,
    ModelMissing,
    OutcomeUnknown,
    ProviderDown,
    RateLimited,
)
from workers.providers.http import Reply, retry_after_s

REASON_CHARS_MAX = 200
# A run of the document as short as this, in a provider's message, withholds the message.
_ECHO_CHARS = 16

# Who has no money may ask as slowly as he likes: these come as 429 or 400, and no wait helps.
_FUNDS = frozenset(
    {
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "exceeded_current_quota_error",
        "insufficient_quota",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
    }
)
_KEY = frozenset(
    {"API_KEY_INVALID", "authentication_error", "invalid_api_key", "invalid_authentication"}
)
_MODEL = frozenset({"DeploymentNotFound", "model_not_found", "not_found_error"})
_LENGTH = frozenset(
    {
        "context_length_exceeded",
        "exceed_context_size_error",
        "request_too_large",
        "string_above_max_length",
    }
)
_FILTER = frozenset({"ResponsibleAIPolicyViolation", "content_filter", "content_policy_violation"})
_LENGTH_SAID = re.compile(
    r"context (length|limit|size|window)|(prompt|input) is too long|too many tokens"
    r"|maximum prompt length|inputs. tokens|token count.{0,40}exceeds",
    re.IGNORECASE,
)
# More than a minute's tokens: OpenAI says 429 to it, and a wait changes nothing.
_TOO_LARGE_SAID = re.compile(r"request too large", re.IGNORECASE)
_FUNDS_SAID = re.compile(
    r"credit balance is too low|insufficient balance|credits are depleted"
    r"|used all available credits",
    re.IGNORECASE,
)
# The gateway gave up waiting; the model behind it may have done the work and billed it.
_GAVE_UP = frozenset({408, 504, 524})


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """A provider's error: its codes and types, its message, and the wait that it names."""

    words: frozenset[str] = frozenset()
    message: str = ""
    retry_after_s: float | None = None


def read_json(body: bytes) -> dict[str, Any]:
    """*body* as a JSON object; empty where it is none, as a proxy's HTML page."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = _read_anyhow(body)
    return parsed if isinstance(parsed, dict) else {}


def _read_anyhow(body: bytes) -> Any:
    """*body*, though it has a mark in front, a NaN, half a character, or one that must be escaped.

    An answer is paid for by now, however careless the server that wrote it.
    """
    try:
        parsed = json.loads(body.decode("utf-8-sig", "replace"), strict=False)
        # Half of a surrogate pair can be escaped in JSON, but be neither stored nor sent on.
        return json.loads(json.dumps(parsed, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def failure(
    complaint: Complaint, *, reply: Reply, access: ProviderAccess, call: Call, request_id: str
) -> CallFailed:
    """The error that *reply* is, to be raised."""
    kind = _kind(reply.status, complaint)
    reason = _reason(complaint, status=reply.status, access=access, call=call)
    if issubclass(kind, CallRefused):
        return kind(provider=access.name, reason=reason, status=reply.status, request_id=request_id)
    wait_s = retry_after_s(reply.headers)
    return kind(
        provider=access.name,
        reason=reason,
        status=reply.status,
        request_id=request_id,
        retry_after_s=complaint.retry_after_s if wait_s is None else wait_s,
    )


_Kind: TypeAlias = type[CallRefused] | type[RateLimited] | type[ProviderDown] | type[OutcomeUnknown]


def _kind(status: int, complaint: Complaint) -> _Kind:
    words = complaint.words
    if status == 402 or words & _FUNDS or _FUNDS_SAID.search(complaint.message):
        return FundsExhausted
    if status == 429:
        return ContextExceeded if _TOO_LARGE_SAID.search(complaint.message) else RateLimited
    if status == 403 and words & _FILTER:
        return ContentFiltered
    if status in (401, 403) or words & _KEY:
        return KeyRejected
    if status in _GAVE_UP:
        return OutcomeUnknown
    # 409 and 425: another request was in the way; 498: the provider's spare capacity is used up.
    if status >= 500 or status in (409, 425, 498):
        return ProviderDown
    return _refusal(status, complaint)


def _refusal(status: int, complaint: Complaint) -> type[CallRefused]:
    words = complaint.words
    if words & _FILTER:
        return ContentFiltered
    if status == 413 or words & _LENGTH or _LENGTH_SAID.search(complaint.message):
        return ContextExceeded
    # A redirect, or a method that is not allowed: the address is another service's.
    if status < 400 or status in (404, 405) or words & _MODEL:
        return ModelMissing
    return CallRefused


def _reason(complaint: Complaint, *, status: int, access: ProviderAccess, call: Call) -> str:
    """What may be shown of a complaint: neither the key nor a piece of the document."""
    words = sorted(word for word in complaint.words if re.fullmatch(r"[\w.-]{1,60}", word))
    message = " ".join(complaint.message.split())[:REASON_CHARS_MAX]
    if access.api_key:
        message = message.replace(access.api_key, "[key]")
    # Providers repeat a key in part, as `sk-ab***yz`.
    message = re.sub(r"\b(sk|gsk|AIza|key)[-_]?[\w*-]{8,}", "[key]", message)
    if _echoes(message, call.prompt):
        message = "[withheld: it repeats the document]"
    return ", ".join([f"HTTP {status}", *words, *([message] if message else [])])


def _echoes(message: str, document: str) -> bool:
    flat = " ".join(document.split())
    return any(
        message[start : start + _ECHO_CHARS] in flat
        for start in range(len(message) - _ECHO_CHARS + 1)
    )
