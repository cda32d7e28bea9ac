"""What the sandbox's models answer: deterministic, and better for more effort, mostly."""

import json
from typing import Any

import pytest

from scheduler.domain.job import CLIENT_TASKS, Task
from workers.contracts import check
from workers.prompts import read_prompt, render
from workers.sandbox.answering import NOT_THERE, answer
from workers.sandbox.models import SKILLS, skill_of

INVOICE = """\
Invoice number: A-77
The work was done for Brown & Sons in Leeds.  The amount due comes to $1,250.50 in all.
Payment is expected by 3 May 2026; write to billing@brown.example with questions.
"""
FILLER = "Nothing of note was said about the weather at that point of the meeting. " * 20
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "invoice_number": {"type": "string"},
        "amount": {"type": "number"},
        "payment_date": {"type": "string"},
        "email": {"type": ["string", "null"]},
        "paid": {"type": ["boolean", "null"]},
    },
}


def said(model: str, task: Task, text: str, **about: Any) -> str:
    return answer(read_prompt(render(task, text, **about).user), SKILLS[model])


def extracted(model: str) -> Any:
    text = said(model, Task.EXTRACT, INVOICE, schema=SCHEMA)
    return check(Task.EXTRACT, text, schema=SCHEMA)


@pytest.mark.parametrize("model", SKILLS)
def test_an_answer_is_the_same_every_time(model: str) -> None:
    assert said(model, Task.SUMMARIZE, INVOICE) == said(model, Task.SUMMARIZE, INVOICE)


def test_a_better_model_finds_more_values() -> None:
    found = [sum(value is not None for value in extracted(model).values()) for model in SKILLS]

    assert found == sorted(found)
    assert found[0] < found[-1]


def test_the_best_model_finds_the_values() -> None:
    assert extracted("sandbox-large") == {
        "invoice_number": "A-77",
        "amount": 1250.5,
        "payment_date": "3 May 2026",
        "email": "billing@brown.example",
        "paid": None,
    }


def test_a_weak_model_reads_only_the_beginning() -> None:
    text = FILLER + "The council approved the bridge. "
    question = "Who approved the bridge?"

    assert said("sandbox-small", Task.ANSWER, text, question=question) == NOT_THERE
    assert "council" in said("sandbox-large", Task.ANSWER, text, question=question)


def test_a_better_model_sees_through_inflections() -> None:
    text = "The complaints were many.  Complaining went on.  One word of praise was heard."
    labels = ["praise", "complaint"]

    assert said("sandbox-small", Task.CLASSIFY, text, labels=labels) == "praise"
    assert said("sandbox-large", Task.CLASSIFY, text, labels=labels) == "complaint"


@pytest.mark.parametrize("model", SKILLS)
def test_a_class_is_always_one_of_the_labels(model: str) -> None:
    assert said(model, Task.CLASSIFY, FILLER, labels=["x", "y"]) in ("x", "y")


@pytest.mark.parametrize("model", SKILLS)
@pytest.mark.parametrize("task", CLIENT_TASKS)
def test_an_empty_document_has_an_answer_too(model: str, task: Task) -> None:
    assert said(model, task, "", labels=["x"], schema=SCHEMA, question="Who?")


def test_extraction_fits_enumerations_and_lists() -> None:
    schema = {
        "properties": {
            "level": {"enum": ["low", "high"]},
            "amount": {"type": "array", "items": {"type": "number"}},
        }
    }
    text = said("sandbox-large", Task.EXTRACT, "A high amount: 12", schema=schema)

    assert json.loads(text) == {"level": "high", "amount": [12]}


def test_a_region_changes_nothing_about_a_models_skill() -> None:
    assert skill_of("sandbox-medium-eu") == SKILLS["sandbox-medium"]
    assert skill_of("gpt-4") is None
