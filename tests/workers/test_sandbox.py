"""The sandbox: a provider with a bill, called through the production adapter."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from scheduler.cli.supervise import SUPERVISOR
from scheduler.domain.listing import Protocol, ProviderAccess
from tests.rig.waiting import eventually
from tests.workers.reached import OFFERS, Reached, call, offer, run, sandbox
from workers import loop
from workers.calls import (
    Answer,
    ContextExceeded,
    Finish,
    KeyRejected,
    ModelMissing,
    RateLimited,
)
from workers.providers.http import open_client
from workers.providers.openai import OpenAiAdapter
from workers.sandbox.bill import Bill, read_rows
from workers.sandbox.process import SandboxDied, sandbox_process
from workers.sandbox.server import Sandbox


@pytest.fixture
def bill(tmp_path: Path) -> Bill:
    return Bill(tmp_path / "bill.jsonl")


def test_an_answer_is_labelled_sandbox_all_over(bill: Bill) -> None:
    async def does(reached: Reached) -> None:
        answer = await reached.answer(call())
        assert answer.model == "sandbox-large"
        assert answer.request_id.startswith("chatcmpl-sandbox-")
        assert (await reached.get("/v1/models"))["data"][0]["sandbox"] is True
        assert (await reached.get("/sandbox/bill"))["sandbox"] is True

    run(sandbox(bill), does)

    assert read_rows(bill.path)[0]["sandbox"] is True


def test_what_the_answer_reports_is_what_is_billed_exactly(bill: Bill) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call("sandbox-small", key="k-9"))

    answer = run(sandbox(bill), does)

    [row] = read_rows(bill.path)
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
    assert len(read_rows(bill.path)) == 2


def test_a_line_that_is_being_written_is_not_read(bill: Bill) -> None:
    async def does(reached: Reached) -> str:
        await reached.answer(call())
        with bill.path.open("a") as lines:
            lines.write('{"at": "2026')
            lines.flush()
            assert len(read_rows(bill.path)) == 1
            async with reached.client.get(f"{reached.url}/sandbox/bill/rows") as response:
                return await response.text()

    [row] = run(sandbox(bill), does).splitlines()

    assert orjson.loads(row)["model"] == "sandbox-large"


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
    assert len(read_rows(bill.path)) == 1


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


# Like a prompt of ours, but for its labels.
BROKEN = "Labels: x\n<document-0123456789ab>\nA text.\n</document-0123456789ab>"
ASKED = {"model": "sandbox-large", "messages": [{"role": "user", "content": "A text."}]}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        [],
        {"model": "sandbox-large"},
        {"model": 1, "messages": []},
        {**ASKED, "messages": [1]},
        {**ASKED, "max_tokens": "many"},
        {**ASKED, "max_completion_tokens": 0},
        {**ASKED, "response_format": "json"},
        {**ASKED, "messages": [{"content": BROKEN}]},
        {**ASKED, "stream": True},
    ],
)
def test_a_request_that_it_cannot_do_is_refused_unbilled(bill: Bill, body: Any) -> None:
    async def does(reached: Reached) -> None:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with reached.client.post(f"{reached.url}/v1/chat/completions", data=data) as response:
            assert response.status == 400
            assert (await response.json())["error"]["message"]

    run(sandbox(bill), does)

    assert read_rows(bill.path) == []


def test_a_message_in_parts_is_read_like_one_of_text(bill: Bill) -> None:
    parts = [{"type": "text", "text": "A te"}, {"type": "text", "text": "xt."}]

    async def does(reached: Reached) -> list[Any]:
        said = []
        for content in ("A text.", parts):
            body = {**ASKED, "messages": [{"role": "user", "content": content}]}
            async with reached.client.post(
                f"{reached.url}/v1/chat/completions", json=body
            ) as response:
                said.append((await response.json())["choices"][0]["message"]["content"])
        return said

    assert run(sandbox(bill), does) == ["A text.", "A text."]


def test_the_process_bills_by_the_catalog_and_outlives_nothing(tmp_path: Path) -> None:
    async def does(url: str) -> Answer:
        async with open_client(concurrency=1) as client:
            access = ProviderAccess(name="sandbox", protocol=Protocol.OPENAI, base_url=url)
            return await OpenAiAdapter(access, client).answer(call("sandbox-medium"))

    with sandbox_process(bill=tmp_path / "bill.jsonl") as running:
        answer = loop.run(does(running.url))

    assert answer.usage is not None
    [row] = read_rows(running.bill)
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


KEEPER = f"""
import os, sys, time
from pathlib import Path
from workers.sandbox.process import sandbox_process
kept = {{"{SUPERVISOR}": str(os.getpid())}}
with sandbox_process(bill=Path(sys.argv[1]), environ=kept) as running:
    print(running.process.pid, flush=True)
    time.sleep(60)
"""


def test_it_ends_with_whoever_keeps_it_though_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEPER, str(tmp_path / "bill.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        sandbox = psutil.Process(int(keeper.stdout.readline()))
        keeper.kill()

    eventually(lambda: _has_ended(sandbox), what="the sandbox to end")


def _has_ended(process: psutil.Process) -> bool:
    # One that nobody waits for stays as a zombie.
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
