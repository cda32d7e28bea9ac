"""OpenAI's chat completions, and every server that speaks them with small differences."""

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from multidict import istr

from scheduler.domain.listing import ProviderAccess, Structured
from workers.calls import Answer, Call, Finish, OutcomeUnknown, Usage, plausible
from workers.providers.failures import Complaint, failure, read_json
from workers.providers.http import Reply, Wire, encoded, key_header, merged

_FINISHES = {
    "stop": Finish.STOP,
    "complete": Finish.STOP,
    "end": Finish.STOP,
    "end_turn": Finish.STOP,
    "eos": Finish.STOP,
    "eos_token": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "content_filter": Finish.REFUSAL,
    "safety": Finish.REFUSAL,
    "sensitive": Finish.REFUSAL,
}
_KEY, _REQUEST = istr("Idempotency-Key"), istr("X-Client-Request-Id")
# OpenAI itself, and as Azure has it: only schemas of objects are taken there.
_OPENAI = re.compile(r"^https://[^/]*\.(openai|azure)\.com(/|$)")


class OpenAiAdapter:
    """Calls `{base_url}/chat/completions`.

    Azure's older addresses, which name the deployment, are a `base_url` with `{model}` in it,
    `api-version` in the query, and `api-key` as the key's header.
    """

    def __init__(self, access: ProviderAccess, client: aiohttp.ClientSession) -> None:
        self._access = access
        self._wire = Wire(access, client, headers=key_header(access, own="Authorization"))
        self._address = f"{access.base_url.rstrip('/')}/chat/completions"

    async def answer(self, call: Call) -> Answer:
        """See `workers.calls.Adapter`."""
        reply = await self._wire.post(
            self._address.replace("{model}", call.model),
            encoded(self._body(call)),
            headers={_KEY: call.attempt_key, _REQUEST: call.attempt_key},
        )
        body = read_json(reply.body)
        request_id = reply.headers.get("x-request-id", "")
        if not reply.is_success or (body.get("error") and not body.get("choices")):
            raise failure(
                _complaint(body),
                reply=_as_said(reply, body),
                access=self._access,
                call=call,
                request_id=request_id,
            )
        return self._read(body, reply=reply, call=call, request_id=request_id)

    def _body(self, call: Call) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": call.model,
            "messages": [
                {"role": "system", "content": call.system},
                {"role": "user", "content": call.prompt},
            ],
            self._access.limit_field: call.output_limit_tokens,
        }
        if call.temperature is not None and self._access.temperature:
            body["temperature"] = call.temperature
        if call.schema is not None:
            body |= _format(call.schema, self._access)
        return merged(body, self._access.body)

    def _read(self, body: dict[str, Any], *, reply: Reply, call: Call, request_id: str) -> Answer:
        try:
            choice = body["choices"][0]
            message = choice["message"]
            text = _text(message.get("content"))
            refusal = message.get("refusal")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise OutcomeUnknown(
                provider=self._access.name,
                reason="its answer is not of the protocol's shape",
                status=reply.status,
                request_id=request_id,
            ) from None
        # Some say why behind a colon, or in capitals.
        reason = str(choice.get("finish_reason") or "stop").partition(":")[0].lower()
        finish = _FINISHES.get(reason, Finish.OTHER)
        return Answer(
            text=text,
            usage=_usage(body.get("usage"), call=call),
            finish=Finish.REFUSAL if refusal else finish,
            model=str(body.get("model") or call.model),
            request_id=request_id or str(body.get("id") or ""),
            seconds=reply.seconds,
        )


def _format(schema: Mapping[str, Any], access: ProviderAccess) -> dict[str, Any]:
    """What holds a model to *schema*, as far as its server can; the prompt asks for it anyhow."""
    is_object = schema.get("type") == "object"
    if access.structured is Structured.SCHEMA and (
        is_object or not _OPENAI.search(access.base_url)
    ):
        # Not `strict`, which most schemas that people write are not fit for; the answer is
        # checked against the schema when it is there.
        named = {"name": "answer", "schema": dict(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    # Under `json_object` no other value can be an answer.
    if access.structured is Structured.JSON and is_object:
        return {"response_format": {"type": "json_object"}}
    return {}


def _text(content: Any) -> str:
    """The answer's text; where it comes in parts, thinking is left out."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(str(part["text"]) for part in content if part.get("type") == "text")


def _usage(said: Any, *, call: Call) -> Usage | None:
    try:
        sent, written = int(said["prompt_tokens"]), int(said["completion_tokens"])
        total = int(said.get("total_tokens") or 0)
        cached = int((said.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return None
    usage = Usage(
        input_tokens=sent,
        # Some count thinking in the total alone; it is billed as output.
        output_tokens=max(written, total - sent),
        cached_input_tokens=cached,
    )
    return plausible(usage, call=call)


def _complaint(body: dict[str, Any]) -> Complaint:
    """The error, whichever of the compatible servers wrote it."""
    said = body.get("error", body)
    if not isinstance(said, dict):
        said = {"message": said}
    inner = said.get("innererror")
    words = [said.get("code"), said.get("type")]
    if isinstance(inner, dict):
        words.append(inner.get("code"))
    about = said.get("metadata")
    if isinstance(about, dict) and "flagged_input" in about:
        # OpenRouter's moderation, in a 403 that says nothing else of it.
        words.append("content_filter")
    message = said.get("message") or said.get("detail") or ""
    if isinstance(message, list):  # a validation's list; its `input` would be the document
        message = "; ".join(str(one.get("msg", "")) for one in message if isinstance(one, dict))
    return Complaint(words=frozenset(str(word) for word in words if word), message=str(message))


def _as_said(reply: Reply, body: dict[str, Any]) -> Reply:
    """*reply* with the status that its error names, where a router wrapped it into a 200."""
    if not reply.is_success:
        return reply
    said = body["error"]
    code = said.get("code") if isinstance(said, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    return Reply(status=status, headers=reply.headers, body=reply.body, seconds=reply.seconds)
