"""A provider that says what a test tells it to, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from scheduler.domain.listing import Protocol, ProviderAccess
from workers import loop
from workers.calls import Answer, Call
from workers.providers.http import open_client
from workers.providers.registry import adapter_for

KEY = "sk-secret-key-0123456789"
DOCUMENT = "The confidential merger of Alpha and Beta closes on 3 May."
SCHEMA = {"type": "object", "properties": {"when": {"type": "string"}}, "required": ["when"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """One scripted answer.

    `cut_after` bytes of the body the connection is dropped; `silent`, nothing comes at all.
    """

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One request, as the provider saw it."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: dict[str, Any]


@asynccontextmanager
async def provider(say: Say, heard: list[Heard]) -> AsyncIterator[str]:
    """A server that answers everything with *say*; its address."""
    over = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        heard.append(
            Heard(
                path=request.path,
                query=dict(request.query),
                headers=request.headers,
                body=orjson.loads(await request.read() or b"{}"),
            )
        )
        assert request.transport is not None
        if say.silent:
            await over.wait()
            request.transport.abort()
            return web.Response()
        body = say.body if isinstance(say.body, bytes) else orjson.dumps(say.body)
        if say.cut_after is None:
            return web.Response(status=say.status, body=body, headers=say.headers)
        if say.cut_after == 0:
            request.transport.abort()
            return web.Response()
        response = web.StreamResponse(status=say.status)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: say.cut_after])
        request.transport.abort()
        return response

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        over.set()
        await runner.cleanup()


def a_call(**said: Any) -> Call:
    """A call about `DOCUMENT`, with *said* in place of the usual."""
    usual: dict[str, Any] = {
        "model": "m-1",
        "system": "You summarize.",
        "prompt": f"Summarize: {DOCUMENT}",
        "output_limit_tokens": 50,
        "attempt_key": "attempt-7",
    }
    return Call(**(usual | said))


def ask(
    protocol: Protocol,
    say: Say,
    call: Call | None = None,
    *,
    heard: list[Heard] | None = None,
    path: str = "",
    **access: Any,
) -> Answer:
    """What the adapter makes of *say*."""

    async def run() -> Answer:
        async with (
            provider(say, [] if heard is None else heard) as url,
            open_client(concurrency=2) as client,
        ):
            usual: dict[str, Any] = {"base_url": url + path, "api_key": KEY, "timeout_s": 5.0}
            reached = ProviderAccess(name="acme", protocol=protocol, **(usual | access))
            return await adapter_for(reached, client).answer(call or a_call())

    return loop.run(run())
