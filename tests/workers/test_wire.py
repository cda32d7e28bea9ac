"""What is sent to a provider: one request, whose headers nobody can break out of."""

import gc
import tracemalloc
from dataclasses import replace

import pytest

from scheduler import interpreter
from scheduler.domain.listing import Protocol, ProviderAccess
from tests.rig.kafka import free_ports
from tests.workers.chat import said
from tests.workers.scripted import Heard, a_call, ask, provider
from workers import loop
from workers.calls import KeyRejected, ProviderDown
from workers.providers.http import open_client
from workers.providers.registry import adapter_for


def headers_of(**access: object) -> list[tuple[str, str]]:
    heard: list[Heard] = []
    ask(Protocol.OPENAI, said(), heard=heard, **access)
    return [(name.lower(), value) for name, value in heard[0].headers.items()]


def test_a_header_of_the_catalogs_takes_the_place_of_ours_whatever_its_case() -> None:
    headers = headers_of(headers={"user-agent": "acme", "CONTENT-TYPE": "application/x"})

    assert [value for name, value in headers if name == "user-agent"] == ["acme"]
    assert [value for name, value in headers if name == "content-type"] == ["application/x"]


@pytest.mark.parametrize("status", [201, 203])
def test_a_gateways_other_word_for_success_is_one(status: int) -> None:
    say = said()

    assert ask(Protocol.OPENAI, replace(say, status=status)).text == "It closes in May."


@pytest.mark.parametrize("end", ["\n", "\r", "\0"])
def test_a_key_that_would_end_its_header_is_not_sent(end: str) -> None:
    heard: list[Heard] = []

    with pytest.raises(KeyRejected) as caught:
        ask(Protocol.OPENAI, said(), heard=heard, api_key=f"k{end}X-Other: 1")

    assert not heard
    assert "X-Other" not in str(caught.value)


def test_a_call_goes_by_the_proxy_to_a_host_that_only_the_proxy_knows() -> None:
    heard: list[Heard] = []

    async def run() -> str:
        async with provider(said(), heard) as proxy, open_client(concurrency=1) as client:
            access = ProviderAccess(
                name="acme",
                protocol=Protocol.OPENAI,
                base_url="http://acme.invalid/v1",
                proxy=proxy.replace("//", "//me:secret@"),
            )
            return (await adapter_for(access, client).answer(a_call())).text

    assert loop.run(run()) == "It closes in May."
    assert heard[0].headers["Host"] == "acme.invalid"
    assert heard[0].headers["Proxy-Authorization"].startswith("Basic ")


def test_the_documents_of_calls_that_failed_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, may_be_left, document = 64, 4, "x" * 1_000_000
    monkeypatch.setattr(interpreter, "LEFT_BYTES_MAX", may_be_left * len(document))

    async def run() -> int:
        async with open_client(concurrency=1) as client:
            adapter = adapter_for(nobody(), client)
            tracemalloc.start()
            for _ in range(calls):
                with pytest.raises(ProviderDown):
                    await adapter.answer(a_call()._replace(prompt=document))
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return kept

    gc.disable()
    try:
        kept = loop.run(run())
    finally:
        gc.enable()

    # The last call's is there, too.  What JSON is written into counts over eight times its length.
    assert kept < 9 * len(document) * (may_be_left + 1)


def nobody() -> ProviderAccess:
    """A provider at a port where none is listening."""
    [port] = free_ports(1)
    return ProviderAccess(
        name="acme", protocol=Protocol.OPENAI, base_url=f"http://127.0.0.1:{port}/v1"
    )
