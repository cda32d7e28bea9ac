"""The sandbox's HTTP server: OpenAI's protocol, with a bill and faults of its own."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from scheduler.domain.offer import Offer
from workers.extracting import tokens
from workers.prompts import Asked, read_prompt
from workers.sandbox.answering import answer
from workers.sandbox.bill import Bill
from workers.sandbox.faults import BadFaults, Fault, Rule, Script, read_script
from workers.sandbox.models import skill_of

BODY_BYTES_MAX = 64 * 1024 * 1024
HANG_S = 600.0
SLOW_S = 5.0
_LABEL = {"X-Sandbox": "true"}
_UNBILLED = {
    Fault.TOO_MANY: (429, "rate_limit_exceeded", "Rate limit reached; please slow down."),
    Fault.NO_FUNDS: (429, "insufficient_quota", "You exceeded your current quota."),
    Fault.BAD_KEY: (401, "invalid_api_key", "Incorrect API key provided."),
    Fault.FILTERED: (400, "content_filter", "The prompt was filtered."),
    Fault.ERROR: (500, "server_error", "The server had an error while processing your request."),
    Fault.OVERLOADED: (503, "overloaded", "The engine is currently overloaded."),
}


@dataclass(slots=True, kw_only=True)
class Sandbox:
    """One sandbox.

    Attributes:
        offers: by model, what it sells and at which price; the catalog's.
        latency_s, token_s: how long a call takes, and each token of its answer on top.
        requests_per_minute: per model; None for no limit.
        key: asked for in every call; None for none.
    """

    offers: Mapping[str, Offer]
    bill: Bill
    script: Script = field(default_factory=Script)
    latency_s: float = 0.0
    token_s: float = 0.0
    requests_per_minute: int | None = None
    key: str | None = None
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _seen: Counter[str] = field(default_factory=Counter)
    _paid_until_s: dict[str, float] = field(default_factory=dict)
    _calls: int = 0
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        """The application, to be served; it opens the bill and closes it."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/sandbox/bill", self._total)
        app.router.add_get("/sandbox/bill/rows", self._rows)
        app.router.add_get("/sandbox/bill/{attempt_key}", self._attempt)
        app.router.add_get("/sandbox/faults", self._faults)
        app.router.add_put("/sandbox/faults", self._set_faults)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._stop)
        app.on_cleanup.append(self._finish)
        return app

    async def _start(self, app: web.Application) -> None:  # noqa: ARG002 - a signal's shape
        self.bill.open()

    async def _stop(self, app: web.Application) -> None:  # noqa: ARG002 - a signal's shape
        self._closing.set()

    async def _finish(self, app: web.Application) -> None:  # noqa: ARG002 - a signal's shape
        self.bill.close()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body = orjson.loads(await request.read())
            model, limit = str(body["model"]), _limit(body)
            asked, sent_tokens = _asked(body)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return _error(400, "invalid_request_error", "It is no chat completion request.")
        if body.get("stream"):
            return _error(400, "unsupported_value", "Answers are not streamed; leave out `stream`.")
        offer, skill = self.offers.get(model), skill_of(model)
        if offer is None or skill is None:
            return _error(404, "model_not_found", f"The model `{model[:100]}` does not exist.")
        if (refusal := self._turned_away(request, offer, sent_tokens)) is not None:
            return refusal
        rule = self.script.fate(model=model, ordinal=self._seen[model])
        self._seen[model] += 1
        if rule is not None and rule.fault in _UNBILLED:
            return _fault_error(rule)
        text = answer(asked, skill)
        reply = self._reply(limit, offer=offer, text=text, sent_tokens=sent_tokens)
        self._charge(request, reply, offer=offer, rule=rule)
        await self._wait(self.latency_s * skill.slowness + self.token_s * tokens(text))
        return await self._send(request, reply, rule)

    def _turned_away(
        self, request: web.Request, offer: Offer, sent_tokens: int
    ) -> web.Response | None:
        """The answer to a call that is not done at all, or None."""
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, "invalid_api_key", "Incorrect API key provided.")
        if sent_tokens > offer.context_limit:
            return _error(
                400,
                "context_length_exceeded",
                f"This model's maximum context length is {offer.context_limit} tokens.",
            )
        wait_s = self._over_limit_s(offer.model)
        if wait_s > 0:
            return _error(429, "rate_limit_exceeded", "Rate limit reached.", wait_s=wait_s)
        return None

    def _over_limit_s(self, model: str) -> float:
        """How long a call must wait; the limit is kept evenly, with a second's worth at once."""
        if self.requests_per_minute is None:
            return 0.0
        now_s = asyncio.get_running_loop().time()
        each_s = 60 / self.requests_per_minute
        until_s = max(self._paid_until_s.get(model, now_s), now_s) + each_s
        ahead_s = until_s - now_s - max(1.0, each_s)
        if ahead_s > 0:
            return ahead_s
        self._paid_until_s[model] = until_s
        return 0.0

    def _reply(
        self, asked_limit: int | None, *, offer: Offer, text: str, sent_tokens: int
    ) -> dict[str, Any]:
        limit = min(asked_limit or offer.output_limit, offer.output_limit)
        cut = text.encode("utf-8", "replace")[: 4 * limit].decode("utf-8", "ignore")
        written = tokens(cut)
        self._calls += 1
        return {
            "id": f"chatcmpl-sandbox-{self._calls}",
            "object": "chat.completion",
            "created": int(self.now().timestamp()),
            "model": offer.model,
            "system_fingerprint": "sandbox",
            "sandbox": True,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": cut, "refusal": None},
                    "finish_reason": "stop" if cut == text else "length",
                }
            ],
            "usage": {
                "prompt_tokens": sent_tokens,
                "completion_tokens": written,
                "total_tokens": sent_tokens + written,
            },
        }

    def _charge(
        self, request: web.Request, reply: dict[str, Any], *, offer: Offer, rule: Rule | None
    ) -> None:
        headers = request.headers
        self.bill.charge(
            at=self.now().isoformat(),
            attempt_key=headers.get("Idempotency-Key") or headers.get("X-Client-Request-Id") or "",
            request_id=reply["id"],
            offer=offer,
            input_tokens=reply["usage"]["prompt_tokens"],
            output_tokens=reply["usage"]["completion_tokens"],
            outcome="answered" if rule is None else rule.fault.value,
        )

    async def _send(
        self, request: web.Request, reply: dict[str, Any], rule: Rule | None
    ) -> web.StreamResponse:
        fault = None if rule is None else rule.fault
        if rule is not None and fault is Fault.HANG:
            await self._wait(HANG_S if rule.wait_s is None else rule.wait_s)
            return _cut_off(request)
        if rule is not None and fault is Fault.SLOW:
            await self._wait(SLOW_S if rule.wait_s is None else rule.wait_s)
        if fault is Fault.REFUSAL:
            reply["choices"][0]["message"] = {
                "role": "assistant",
                "content": None,
                "refusal": "I can't help with that.",
            }
        elif fault is Fault.NO_USAGE:
            del reply["usage"]
        elif fault is Fault.WRONG_USAGE:
            reply["usage"] = {"prompt_tokens": 10**9, "completion_tokens": 10**9}
        body = orjson.dumps(reply)
        if fault is Fault.MALFORMED:
            body = body[: len(body) // 2]
        if fault is Fault.CUT:
            return await _half(request, body)
        headers = {**_LABEL, "x-request-id": reply["id"]}
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _wait(self, seconds: float) -> None:
        """Wait, but not beyond the server's end."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self._closing.wait(), seconds)
            except TimeoutError:
                return

    async def _models(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        models = [
            {"id": model, "object": "model", "owned_by": "sandbox", "sandbox": True}
            for model in sorted(self.offers)
        ]
        return _json({"object": "list", "data": models})

    async def _total(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        models = {model: total.to_dict() for model, total in sorted(self.bill.totals.items())}
        return _json({"sandbox": True, **self.bill.total().to_dict(), "models": models})

    async def _rows(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        lines = await asyncio.to_thread(self.bill.lines)
        return web.Response(body=lines, content_type="application/jsonl")

    async def _attempt(self, request: web.Request) -> web.Response:
        rows = self.bill.of(request.match_info["attempt_key"])
        return _json({"sandbox": True, "rows": rows})

    async def _faults(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        script = self.script.model_dump(mode="json")
        return _json({"sandbox": True, "calls": dict(self._seen), **script})

    async def _set_faults(self, request: web.Request) -> web.Response:
        """Put another script in place; calls are counted anew from here."""
        try:
            self.script = read_script(await request.text())
        except BadFaults as error:
            return _error(400, "invalid_faults", str(error))
        self._seen.clear()
        return await self._faults(request)


def _limit(body: dict[str, Any]) -> int | None:
    """The longest answer that is asked for."""
    said = body.get("max_completion_tokens", body.get("max_tokens"))
    limit = None if said is None else int(said)
    if limit is not None and limit < 1:
        raise ValueError(limit)
    return limit


def _text(content: Any) -> str:
    """A message's text, which may come in parts."""
    if isinstance(content, list):
        return "".join(str(part["text"]) for part in content)
    return str(content)


def _asked(body: dict[str, Any]) -> tuple[Asked, int]:
    """What the request asks for, and how many tokens were sent."""
    messages = [_text(message["content"]) for message in body["messages"]]
    asked = read_prompt(messages[-1])
    said = body.get("response_format") or {}
    if asked.task == "" and said.get("type") == "json_schema":
        asked = Asked(task="extract", document=asked.document, schema=said["json_schema"]["schema"])
    return asked, sum(tokens(message) for message in messages)


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json", headers=_LABEL)


def _fault_error(rule: Rule) -> web.Response:
    status, code, message = _UNBILLED[rule.fault]
    waits = rule.fault in (Fault.TOO_MANY, Fault.OVERLOADED)
    return _error(status, code, message, wait_s=rule.wait_s if waits else None)


def _error(status: int, code: str, message: str, *, wait_s: float | None = None) -> web.Response:
    headers = dict(_LABEL)
    if wait_s is not None:
        headers["retry-after-ms"] = str(math.ceil(wait_s * 1000))
        headers["Retry-After"] = str(math.ceil(wait_s))
    body = {"error": {"message": message, "type": "sandbox", "param": None, "code": code}}
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", headers=headers
    )


async def _half(request: web.Request, body: bytes) -> web.StreamResponse:
    """Send half of *body* and drop the connection."""
    response = web.StreamResponse(headers={**_LABEL, "Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


def _cut_off(request: web.Request) -> web.StreamResponse:
    """Drop the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
