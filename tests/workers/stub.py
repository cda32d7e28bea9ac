"""A provider that does as it is told: OpenAI's protocol over HTTP, in the test's own loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Reply = Callable[["Stub", web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Stub:
    """What was called, and how it answers.

    Attributes:
        keys: the idempotency keys of the calls, in their order.
        billed: usage by key, for every answer that a provider would bill.
        in_flight, most: calls under way, and the most there ever were.
    """

    reply: Reply
    keys: list[str] = field(default_factory=list)
    billed: dict[str, tuple[int, int]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    url: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.keys.append(request.headers["Idempotency-Key"])
        self.models.append(body["model"])
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self.reply(self, request, body)
        finally:
            self.in_flight -= 1


async def good(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """A summary, with honest usage."""
    return answer(stub, request, body)


async def when_told(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """An answer that is worked on, and billed, and sent when the gate opens."""
    made = answer(stub, request, body)
    await stub.gate.wait()
    return made


async def until(look: Callable[[], bool]) -> None:
    """Let the loop run until *look* is true."""
    async with asyncio.timeout(60):
        while not look():  # noqa: ASYNC110 - what is waited for happens in the database too
            await asyncio.sleep(0.005)


def answer(
    stub: Stub,
    request: web.Request,
    body: dict[str, Any],
    *,
    text: str = "A short summary.",
    usage: tuple[int, int] | None = None,
    said: dict[str, Any] | None = None,
    finish: str = "stop",
) -> web.Response:
    """An answer that is billed at *usage* tokens; *said* is the usage that it reports instead."""
    used = usage or (sum(len(one["content"]) for one in body["messages"]) // 4, len(text) // 4)
    stub.billed[request.headers["Idempotency-Key"]] = used
    reported = {"prompt_tokens": used[0], "completion_tokens": used[1]} if said is None else said
    return web.json_response(
        {
            "id": f"req-{len(stub.keys)}",
            "model": body["model"],
            "choices": [{"message": {"content": text}, "finish_reason": finish}],
            "usage": reported,
        }
    )


def error(status: int, *, code: str = "server_error", retry_after_s: str = "") -> web.Response:
    headers = {"Retry-After": retry_after_s} if retry_after_s else {}
    body = {"error": {"code": code, "message": "no"}}
    return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def serving(reply: Reply = good) -> AsyncIterator[Stub]:
    """A stub that serves on a port of its own."""
    stub = Stub(reply)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", stub.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield stub
    finally:
        await runner.cleanup()
