"""The sandbox: a provider with a bill and faults, called through the production adapter."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web

from scheduler.domain.job import Task
from scheduler.domain.listing import Protocol, ProviderAccess
from scheduler.domain.offer import Offer
from workers import loop
from workers.calls import (
    Adapter,
    Answer,
    Call,
    CallFailed,
    ContentFiltered,
    ContextExceeded,
    Finish,
    FundsExhausted,
    KeyRejected,
    ModelMissing,
    OutcomeUnknown,
    ProviderDown,
    RateLimited,
)
from workers.prompts import render
from workers.providers.http import open_client
from workers.providers.openai import OpenAiAdapter
from workers.sandbox.bill import Bill
from workers.sandbox.faults import BadFaults, Fault, Script, read_script
from workers.sandbox.process import SandboxDied, sandbox_process
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
                timeout_s=0.5,
            )
            yield Reached(OpenAiAdapter(access, client), client, url)
    finally:
        await runner.cleanup()


def run(sandbox: Sandbox, does: Callable[[Reached], Awaitable[T]]) -> T:
    async def within() -> T:
        async with serving(sandbox) as reached:
            return await does(reached)

    return loop.run(within())


@pytest.fixture
def bill(tmp_path: Path) -> Bill:
    return Bill(tmp_path / "bill.jsonl")


def rows_of(bill: Bill) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bill.path.read_text().splitlines()]


def sandbox(bill: Bill, *rules: dict[str, Any], **said: Any) -> Sandbox:
    script = Script.model_validate({"rules": rules})
    return Sandbox(offers=OFFERS, bill=bill, script=script, **said)


def test_an_answer_is_labelled_sandbox_all_over(bill: Bill) -> None:
    async def does(reached: Reached) -> None:
        answer = await reached.answer(call())
        assert answer.model == "sandbox-large"
        assert answer.request_id.startswith("chatcmpl-sandbox-")
        assert (await reached.get("/v1/models"))["data"][0]["sandbox"] is True
        assert (await reached.get("/sandbox/bill"))["sandbox"] is True

    run(sandbox(bill), does)

    assert rows_of(bill)[0]["sandbox"] is True


def test_what_the_answer_reports_is_what_is_billed_exactly(bill: Bill) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call("sandbox-small", key="k-9"))

    answer = run(sandbox(bill), does)

    [row] = rows_of(bill)
    assert answer.usage is not None
    assert (row["attempt_key"], row["model"]) == ("k-9", "sandbox-small")
    assert row["input_tokens"] == answer.usage.input_tokens
    assert row["output_tokens"] == answer.usage.output_tokens
    assert row["cost_nusd"] == OFFERS["sandbox-small"].cost_nusd(
        input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens
    )


def test_an_attempt_can_be_looked_up_any_time(bill: Bill) -> None:
    async def does(reached: Reached) -> None:
        await reached.answer(call(key="k-1"))
        await reached.answer(call(key="k-2"))
        for _ in range(2):
            found = await reached.get("/sandbox/bill/k-2")
            assert [row["attempt_key"] for row in found["rows"]] == ["k-2"]
        assert (await reached.get("/sandbox/bill/k-3"))["rows"] == []

    run(sandbox(bill), does)


def test_a_bill_goes_on_after_a_restart(bill: Bill) -> None:
    async def once(reached: Reached) -> Any:
        await reached.answer(call())
        return await reached.get("/sandbox/bill")

    first = run(sandbox(bill), once)
    again = Bill(bill.path)
    second = run(sandbox(again), once)

    assert second["calls"] == 2
    assert second["cost_nusd"] == 2 * first["cost_nusd"] > 0


def test_a_line_that_a_crash_left_half_written_is_dropped(bill: Bill) -> None:
    async def once(reached: Reached) -> Any:
        await reached.answer(call())
        return await reached.get("/sandbox/bill")

    run(sandbox(bill), once)
    with bill.path.open("a") as lines:
        lines.write('{"at": "2026')

    assert run(sandbox(Bill(bill.path)), once)["calls"] == 2
    assert len(rows_of(bill)) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("429", RateLimited),
        ("quota", FundsExhausted),
        ("401", KeyRejected),
        ("filtered", ContentFiltered),
        ("500", ProviderDown),
        ("503", ProviderDown),
    ],
)
def test_a_call_that_was_turned_away_is_not_billed(bill: Bill, fault: str, kind: type) -> None:
    async def does(reached: Reached) -> None:
        with pytest.raises(CallFailed) as caught:
            await reached.answer(call())
        assert type(caught.value) is kind

    run(sandbox(bill, {"fault": fault}), does)

    assert rows_of(bill) == []


@pytest.mark.parametrize("fault", ["hang", "cut", "malformed"])
def test_a_call_whose_answer_never_came_is_billed_all_the_same(bill: Bill, fault: str) -> None:
    async def does(reached: Reached) -> None:
        with pytest.raises(OutcomeUnknown):
            await reached.answer(call())

    run(sandbox(bill, {"fault": fault}), does)

    assert [row["outcome"] for row in rows_of(bill)] == [fault]


@pytest.mark.parametrize("fault", ["no_usage", "wrong_usage"])
def test_a_usage_that_is_wrong_is_not_believed(bill: Bill, fault: str) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call())

    answer = run(sandbox(bill, {"fault": fault}), does)

    assert answer.text
    assert answer.usage is None
    assert rows_of(bill)[0]["input_tokens"] < 1_000


def test_a_refusal_is_an_answer_and_billed(bill: Bill) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call())

    assert run(sandbox(bill, {"fault": "refusal"}), does).finish is Finish.REFUSAL
    assert len(rows_of(bill)) == 1


def test_a_slow_answer_comes(bill: Bill) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call())

    assert run(sandbox(bill, {"fault": "slow", "wait_s": 0.05}), does).seconds >= 0.05


def test_a_rule_hits_its_model_after_its_skip_for_its_count(bill: Bill) -> None:
    async def does(reached: Reached) -> list[str]:
        outcomes = []
        for _ in range(5):
            await reached.answer(call("sandbox-small"))
            try:
                await reached.answer(call())
                outcomes.append("ok")
            except ProviderDown:
                outcomes.append("500")
        return outcomes

    rule = {"model": "sandbox-large", "fault": "500", "skip": 1, "count": 2}
    assert run(sandbox(bill, rule), does) == ["ok", "500", "500", "ok", "ok"]


def test_faults_can_be_replaced_while_it_runs(bill: Bill) -> None:
    async def does(reached: Reached) -> None:
        await reached.answer(call())
        script = {"rules": [{"fault": "429", "count": 1, "wait_s": 1.5}]}
        async with reached.client.put(f"{reached.url}/sandbox/faults", json=script) as response:
            assert response.status == 200
        with pytest.raises(RateLimited) as caught:
            await reached.answer(call())
        assert caught.value.retry_after_s == 1.5
        await reached.answer(call())
        assert (await reached.get("/sandbox/faults"))["calls"] == {"sandbox-large": 2}
        async with reached.client.put(f"{reached.url}/sandbox/faults", data=b"{") as response:
            assert response.status == 400

    run(sandbox(bill), does)


def test_faults_by_chance_are_the_same_for_the_same_seed() -> None:
    def fates(seed: int) -> list[bool]:
        script = Script.model_validate({"seed": seed, "rules": [{"fault": "500", "rate": 0.3}]})
        return [script.fate(model="m", ordinal=n) is not None for n in range(1_000)]

    assert fates(1) == fates(1) != fates(2)
    assert 250 < sum(fates(1)) < 350


def test_the_first_rule_that_hits_decides() -> None:
    script = Script.model_validate({"rules": [{"fault": "429", "skip": 1}, {"fault": "500"}]})

    found = [script.fate(model="m", ordinal=n) for n in range(3)]

    assert [rule.fault for rule in found if rule] == [
        Fault.ERROR,
        Fault.TOO_MANY,
        Fault.TOO_MANY,
    ]


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ('{"rules": [{"fault": "600"}]}', "rules.0.fault"),
        ('{"rules": [{"fault": "500", "often": 1}]}', "rules.0.often"),
        ('{"rules": [{"fault": "500", "rate": 2}]}', "rules.0.rate"),
        ("@/nowhere/faults.json", "cannot read /nowhere/faults.json"),
    ],
)
def test_a_script_that_is_wrong_names_the_place(source: str, named: str) -> None:
    with pytest.raises(BadFaults, match=named):
        read_script(source)


def test_a_rate_limit_asks_for_a_wait_and_bills_nothing(bill: Bill) -> None:
    async def does(reached: Reached) -> list[float | None]:
        waits_s = []
        for _ in range(5):
            try:
                await reached.answer(call())
            except RateLimited as error:
                waits_s.append(error.retry_after_s)
        return waits_s

    # Six a minute: the first goes through, and five calls take no ten seconds.
    waits_s = run(sandbox(bill, requests_per_minute=6), does)

    assert len(waits_s) == 4
    assert all(wait_s is not None and 0 < wait_s <= 10 for wait_s in waits_s)
    assert len(rows_of(bill)) == 1


def test_a_key_may_be_asked_for(bill: Bill) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call())

    assert run(sandbox(bill, key="sesame"), does).text
    with pytest.raises(KeyRejected):
        run(sandbox(bill, key="another"), does)


def test_a_model_it_does_not_sell_is_missing(bill: Bill) -> None:
    async def does(reached: Reached) -> None:
        with pytest.raises(ModelMissing):
            await reached.answer(call("sandbox-huge"))

    run(sandbox(bill), does)


def test_a_document_beyond_the_context_is_refused(bill: Bill) -> None:
    async def does(reached: Reached) -> None:
        with pytest.raises(ContextExceeded):
            await reached.answer(call())

    small = {"sandbox-large": offer("sandbox-large", input_pusd=1, output_pusd=1, context=50)}
    run(Sandbox(offers=small, bill=bill), does)


def test_an_answer_keeps_the_output_limit_and_says_so(bill: Bill) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call(limit=5))

    answer = run(sandbox(bill), does)

    assert answer.finish is Finish.LENGTH
    assert answer.usage is not None
    assert answer.usage.output_tokens == 5


def test_a_request_of_another_shape_is_refused(bill: Bill) -> None:
    async def does(reached: Reached) -> None:
        for body in (b"{", b"[]", b'{"model": "sandbox-large"}', b'{"model": 1, "messages": []}'):
            async with reached.client.post(
                f"{reached.url}/v1/chat/completions", data=body
            ) as response:
                assert response.status == 400

    run(sandbox(bill), does)


def test_the_process_bills_by_the_catalog_and_outlives_nothing(tmp_path: Path) -> None:
    async def does(url: str) -> Answer:
        async with open_client(concurrency=1) as client:
            access = ProviderAccess(name="sandbox", protocol=Protocol.OPENAI, base_url=url)
            return await OpenAiAdapter(access, client).answer(call("sandbox-medium"))

    with sandbox_process(bill=tmp_path / "bill.jsonl") as running:
        answer = loop.run(does(running.url))

    assert answer.usage is not None
    [row] = rows_of(Bill(running.bill))
    # $0.50 and $2.00 per million tokens, in nUSD per token.
    assert row["cost_nusd"] == 500 * row["input_tokens"] + 2_000 * row["output_tokens"]
    assert running.process.poll() == 0


def test_a_process_that_cannot_start_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(SandboxDied),
        sandbox_process(bill=tmp_path / "bill.jsonl", options=("--faults", "{")),
    ):
        pass

    assert "apportion: faults:" in capfd.readouterr().err
