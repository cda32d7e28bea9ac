"""Anthropic's Messages."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from scheduler.domain.listing import ProviderAccess, Structured
from workers.calls import Answer, Call, Finish, OutcomeUnknown, Usage, plausible
from workers.providers.closed import closed
from workers.providers.failures import Complaint, failure, read_json
from workers.providers.http import Reply, Wire, encoded, key_header, merged

VERSION = "2023-06-01"

_FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.REFUSAL,
}


class AnthropicAdapter:
    """Calls `{base_url}/v1/messages`.

    There is no idempotency key in this protocol; the attempt's key goes along all the same, for
    gateways that keep one.
    """

    def __init__(self, access: ProviderAccess, client: aiohttp.ClientSession) -> None:
        self._access = access
        headers = {"anthropic-version": VERSION, **key_header(access, own="x-api-key")}
        self._wire = Wire(access, client, headers=headers)
        self._address = f"{access.base_url.rstrip('/')}/v1/messages"

    async def answer(self, call: Call) -> Answer:
        """See `workers.calls.Adapter`."""
        reply = await self._wire.post(
            self._address,
            encoded(self._body(call)),
            headers={"Idempotency-Key": call.attempt_key},
        )
        body = read_json(reply.body)
        request_id = reply.headers.get("request-id") or str(body.get("request_id") or "")
        if not reply.is_success:
            raise failure(
                _complaint(body), reply=reply, access=self._access, call=call, request_id=request_id
            )
        return self._read(body, reply=reply, call=call, request_id=request_id)

    def _body(self, call: Call) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": call.model,
            "max_tokens": call.output_limit_tokens,
            "system": call.system,
            "messages": [{"role": "user", "content": call.prompt}],
        }
        if call.temperature is not None and self._access.temperature:
            body["temperature"] = call.temperature
        if self._access.structured is Structured.SCHEMA:
            body |= _format(call.schema)
        return merged(body, self._access.body)

    def _read(self, body: dict[str, Any], *, reply: Reply, call: Call, request_id: str) -> Answer:
        try:
            text = "".join(
                str(block["text"]) for block in body["content"] if block["type"] == "text"
            )
            reason = str(body["stop_reason"])
        except (KeyError, TypeError):
            raise OutcomeUnknown(
                provider=self._access.name,
                reason="its answer is not of the protocol's shape",
                status=reply.status,
                request_id=request_id,
            ) from None
        return Answer(
            text=text,
            usage=_usage(body.get("usage"), call=call),
            finish=_FINISHES.get(reason, Finish.OTHER),
            model=str(body.get("model") or call.model),
            request_id=request_id,
            seconds=reply.seconds,
        )


def _format(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema, as far as it is taken; where it is not, the prompt asks for it all the same."""
    fit = None if schema is None else closed(schema)
    if fit is None:
        return {}
    return {"output_config": {"format": {"type": "json_schema", "schema": fit}}}


def _usage(said: Any, *, call: Call) -> Usage | None:
    """The usage; here `input_tokens` leaves out what was written to a cache or read from it."""
    try:
        cached = int(said.get("cache_read_input_tokens") or 0)
        written = int(said.get("cache_creation_input_tokens") or 0)
        usage = Usage(
            input_tokens=int(said["input_tokens"]) + cached + written,
            output_tokens=int(said["output_tokens"]),
            cached_input_tokens=cached,
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return None
    return plausible(usage, call=call)


def _complaint(body: dict[str, Any]) -> Complaint:
    said = body.get("error")
    if not isinstance(said, dict):
        return Complaint(message=str(said or ""))
    kind = said.get("type")
    return Complaint(
        words=frozenset([str(kind)] if kind else []), message=str(said.get("message") or "")
    )
