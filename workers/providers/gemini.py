"""Google's generateContent, as the Gemini API and Vertex AI speak it."""

import re
from typing import Any

import aiohttp

from scheduler.domain.listing import ProviderAccess, Structured
from workers.calls import Answer, Call, Finish, OutcomeUnknown, Usage, plausible
from workers.providers.failures import Complaint, failure, read_json
from workers.providers.http import Reply, Wire, encoded, key_header, merged

_FINISHES = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "BLOCKLIST": Finish.REFUSAL,
    "LANGUAGE": Finish.REFUSAL,
    "MODEL_ARMOR": Finish.REFUSAL,
    "PROHIBITED_CONTENT": Finish.REFUSAL,
    "RECITATION": Finish.REFUSAL,
    "SAFETY": Finish.REFUSAL,
    "SPII": Finish.REFUSAL,
}


class GeminiAdapter:
    """Calls `{base_url}/models/{model}:generateContent`.

    The protocol has neither a request id of the client's nor an idempotency key.
    """

    def __init__(self, access: ProviderAccess, client: aiohttp.ClientSession) -> None:
        self._access = access
        self._wire = Wire(access, client, headers=key_header(access, own="x-goog-api-key"))
        self._base = access.base_url.rstrip("/")

    async def answer(self, call: Call) -> Answer:
        """See `workers.calls.Adapter`."""
        reply = await self._wire.post(
            f"{self._base}/models/{call.model}:generateContent", encoded(self._body(call))
        )
        body = read_json(reply.body)
        request_id = str(body.get("responseId") or "")
        if not reply.is_success:
            raise failure(
                _complaint(body), reply=reply, access=self._access, call=call, request_id=request_id
            )
        return self._read(body, reply=reply, call=call, request_id=request_id)

    def _body(self, call: Call) -> dict[str, Any]:
        settings: dict[str, Any] = {"maxOutputTokens": call.output_limit_tokens}
        if call.temperature is not None and self._access.temperature:
            settings["temperature"] = call.temperature
        if call.schema is not None and self._access.structured is not Structured.NONE:
            settings["responseMimeType"] = "application/json"
            if self._access.structured is Structured.SCHEMA:
                settings["responseJsonSchema"] = dict(call.schema)
        body = {
            "systemInstruction": {"parts": [{"text": call.system}]},
            "contents": [{"role": "user", "parts": [{"text": call.prompt}]}],
            "generationConfig": settings,
        }
        return merged(body, self._access.body)

    def _read(self, body: dict[str, Any], *, reply: Reply, call: Call, request_id: str) -> Answer:
        try:
            text, finish = _first(body)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise OutcomeUnknown(
                provider=self._access.name,
                reason="its answer is not of the protocol's shape",
                status=reply.status,
                request_id=request_id,
            ) from None
        return Answer(
            text=text,
            usage=_usage(body.get("usageMetadata"), call=call),
            finish=finish,
            model=str(body.get("modelVersion") or call.model),
            request_id=request_id,
            seconds=reply.seconds,
        )


def _first(body: dict[str, Any]) -> tuple[str, Finish]:
    """Text and finish of the first candidate; a prompt that was blocked has none."""
    if not body.get("candidates") and body["promptFeedback"]["blockReason"]:
        return "", Finish.REFUSAL
    candidate = body["candidates"][0]
    # No `content`, or none with parts: stopped before a word of the answer.
    parts = (candidate.get("content") or {}).get("parts") or []
    text = "".join(
        str(part["text"]) for part in parts if "text" in part and not part.get("thought")
    )
    return text, _FINISHES.get(candidate["finishReason"], Finish.OTHER)


def _usage(said: Any, *, call: Call) -> Usage | None:
    """The usage; thinking is counted beside the answer, what a tool brought beside the prompt."""
    try:
        usage = Usage(
            input_tokens=int(said["promptTokenCount"])
            + int(said.get("toolUsePromptTokenCount") or 0),
            output_tokens=int(said.get("candidatesTokenCount") or 0)
            + int(said.get("thoughtsTokenCount") or 0),
            cached_input_tokens=int(said.get("cachedContentTokenCount") or 0),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return None
    return plausible(usage, call=call)


def _complaint(body: dict[str, Any]) -> Complaint:
    said = body.get("error")
    if not isinstance(said, dict):
        return Complaint(message=str(said or ""))
    listed = said.get("details")
    details = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    words = [said.get("status"), *(one.get("reason") for one in details)]
    return Complaint(
        words=frozenset(str(word) for word in words if word),
        message=str(said.get("message") or ""),
        retry_after_s=_retry_delay_s(details),
    )


def _retry_delay_s(details: list[dict[str, Any]]) -> float | None:
    """The wait that a RetryInfo names, like `"34.07s"`."""
    for one in details:
        named = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(one.get("retryDelay") or ""))
        if named:
            return float(named[1])
    return None
