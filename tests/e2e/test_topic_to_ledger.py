"""One job from topic to ledger, through every process of the service."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import jsonschema

from scheduler.domain.money import NUSD_PER_USD
from tests.e2e.conftest import House

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
TEXT = "The committee met on Tuesday. It agreed on a budget of four million. Nobody objected. "


def job(number: int, **fields: object) -> dict[str, object]:
    text = TEXT * (1 + number % 5) + f"This is document {number}."
    return {"job_id": f"job-{number}", "task": "summarize", "text": text} | fields


def test_a_message_comes_back_with_its_cost_and_the_books_are_right(house: House) -> None:
    house.run("budget", "set", "default", "--limit", "1")
    house.serve()

    house.produce([job(number) for number in range(50)])
    house.produce([{"job_id": "bad", "task": "summarise", "text": "x"}])

    results = house.consume(house.results, 50)
    assert Counter(one["job_id"] for one in results) == {f"job-{n}": 1 for n in range(50)}
    one = results[0]
    assert (one["status"], one["provider"]) == ("done", "sandbox")
    assert one["model"].startswith("sandbox-")
    assert "committee" in one["output"]
    cost = sum(Decimal(one["cost_usd"]) for one in results)
    assert int(cost * NUSD_PER_USD) == house.billed_nusd() > 0
    assert house.scalar("SELECT sum(spent_nusd) FROM budget") == house.billed_nusd()
    assert house.scalar("SELECT sum(reserved_nusd) FROM budget") == 0
    [dead] = house.consume(house.dead, 1)
    assert "summarize" in dead["reason"]
    house.run("report", "budget")
    house.run("audit", "verify")


def test_a_job_without_a_budget_waits_and_is_done_once_there_is_one(house: House) -> None:
    house.serve()
    house.produce([job(1, min_quality=0.4)])
    house.wait_for("SELECT deferral_reason LIKE '%budget%' FROM job")

    house.run("budget", "set", "default/default/default", "--limit", "1")

    [result] = house.consume(house.results, 1)
    assert result["status"] == "done"


def test_every_task_is_done_from_topic_to_topic(house: House) -> None:
    house.run("budget", "set", "default", "--limit", "1")
    house.serve()
    text = "Invoice 4711. Total: 120.50 EUR. Paid by Anna Larsen of Bergen on 2026-03-01."
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    house.produce(
        [
            job(1),
            {"job_id": "e", "task": "extract", "text": text, "schema": schema},
            {"job_id": "c", "task": "classify", "text": text, "labels": ["invoice", "poem"]},
            {"job_id": "a", "task": "answer", "text": text, "question": "Who paid?"},
        ]
    )

    found = {one["job_id"]: one for one in house.consume(house.results, 4)}

    assert {one["status"] for one in found.values()} == {"done"}
    published = json.loads((SCHEMAS / "result.schema.json").read_text())
    for one in found.values():
        jsonschema.validate(one, published)
    assert isinstance(found["e"]["output"]["total"], int | float)
    assert found["c"]["output"] in ("invoice", "poem")
    assert isinstance(found["a"]["output"], str)
