"""A running sandbox, called through the production adapter."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from scheduler.domain.job import Task
from scheduler.domain.listing import Protocol, ProviderAccess
from scheduler.domain.offer import Offer
from workers import loop
from workers.calls import (
    Adapter,
    Answer,
    Call,
)
from workers.prompts import render
from workers.providers.http import open_client
from workers.providers.openai import OpenAiAdapter
from workers.sandbox.bill import Bill
from workers.sandbox.faults import Script
from workers.sandbox.server import Sandbox

T = TypeVar("T")

TEXT = "The council met in May. It voted 7 to 2 for the bridge. Work on the bridge starts in June."


def offer(model: str, *, input_pusd: int, output_pusd: int, context: int = 10_000) -> Offer:
    return Offer(
        name=model,
        provider="sandbox",
        model=model,
        input_price=input_pusd,
        output_price=output_pusd,
        requests_per_minute=1,
        tokens_per_minute=1,
        context_limit=context,
        output_limit=500,
        concurrency=1,
    )


OFFERS = {
    one.model: one
    for one in (
        offer("sandbox-small", input_pusd=333, output_pusd=777),
        offer("sandbox-large", input_pusd=5_000_000, output_pusd=20_000_000),
    )
}


def call(model: str = "sandbox-large", *, key: str = "k-1", limit: int = 400) -> Call:
    prompt = render(Task.SUMMARIZE, TEXT)
    return Call(
        model=model,
        system=prompt.system,
        prompt=prompt.user,
        output_limit_tokens=limit,
        attempt_key=key,
    )


class Reached:
    """A running sandbox, as its tests see it."""

    def __init__(self, adapter: Adapter, client: aiohttp.ClientSession, url: str) -> None:
        self.adapter = adapter
        self.client = client
        self.url = url

    async def get(self, path: str) -> Any:
        async with self.client.get(f"{self.url}{path}") as response:
            assert response.headers["X-Sandbox"] == "true"
            return await response.json()

    async def answer(self, one: Call) -> Answer:
        return await self.adapter.answer(one)


@asynccontextmanager
async def serving(sandbox: Sandbox) -> AsyncIterator[Reached]:
    runner = web.AppRunner(sandbox.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with open_client(concurrency=8) as client:
            access = ProviderAccess(
                name="sandbox",
                protocol=Protocol.OPENAI,
                base_url=f"{url}/v1",
                api_key="sesame",
                timeout_s=3.0,
            )
            yield Reached(OpenAiAdapter(access, client), client, url)
    finally:
        await runner.cleanup()


def run(sandbox: Sandbox, does: Callable[[Reached], Awaitable[T]]) -> T:
    async def within() -> T:
        async with serving(sandbox) as reached:
            return await does(reached)

    return loop.run(within())


def sandbox(bill: Bill, *rules: dict[str, Any], **said: Any) -> Sandbox:
    script = Script.model_validate({"rules": rules})
    return Sandbox(offers=OFFERS, bill=bill, script=script, **said)
