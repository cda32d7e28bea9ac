"""The sandbox's faults: scripted, and billed as a provider would bill them."""

from pathlib import Path

import pytest

from tests.workers.reached import Reached, call, run, sandbox
from workers.calls import (
    Answer,
    CallFailed,
    ContentFiltered,
    Finish,
    FundsExhausted,
    KeyRejected,
    OutcomeUnknown,
    ProviderDown,
    RateLimited,
)
from workers.sandbox.bill import Bill, read_rows
from workers.sandbox.faults import BadFaults, Fault, Script, read_script


@pytest.fixture
def bill(tmp_path: Path) -> Bill:
    return Bill(tmp_path / "bill.jsonl")


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

    assert read_rows(bill.path) == []


@pytest.mark.parametrize("fault", ["hang", "cut", "malformed"])
def test_a_call_whose_answer_never_came_is_billed_all_the_same(bill: Bill, fault: str) -> None:
    async def does(reached: Reached) -> None:
        with pytest.raises(OutcomeUnknown):
            await reached.answer(call())

    run(sandbox(bill, {"fault": fault}), does)

    assert [row["outcome"] for row in read_rows(bill.path)] == [fault]


@pytest.mark.parametrize("fault", ["no_usage", "wrong_usage"])
def test_a_usage_that_is_wrong_is_not_believed(bill: Bill, fault: str) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call())

    answer = run(sandbox(bill, {"fault": fault}), does)

    assert answer.text
    assert answer.usage is None
    assert read_rows(bill.path)[0]["input_tokens"] < 1_000


def test_a_refusal_is_an_answer_and_billed(bill: Bill) -> None:
    async def does(reached: Reached) -> Answer:
        return await reached.answer(call())

    assert run(sandbox(bill, {"fault": "refusal"}), does).finish is Finish.REFUSAL
    assert len(read_rows(bill.path)) == 1


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
