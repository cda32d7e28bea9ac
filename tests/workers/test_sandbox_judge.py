"""The sandbox's judge: real scores, by the words that an answer shares with its document."""

import json

import pytest

from scheduler.domain.job import Task
from workers.prompts import read_prompt, render_judging
from workers.sandbox.answering import answer
from workers.sandbox.models import JUDGE, skill_of

TEXT = (
    "The council of Bergen met on Monday. It approved a budget of 4 million euros for the new "
    "library. The library will open in May. Anna Larsen voted against the budget. The council "
    "will meet again about the library in June. "
)


def scored(task: Task, said: str, **request: object) -> float:
    prompt = render_judging(task, TEXT, answer=said, request=request)
    skill = skill_of(JUDGE)
    assert skill is not None
    reply = json.loads(answer(read_prompt(prompt.user), skill))
    assert list(reply) == ["score"]
    return float(reply["score"])


def test_a_summary_of_what_matters_is_better_than_one_that_makes_things_up() -> None:
    good = scored(Task.SUMMARIZE, "The council approved the budget for the library.")
    aside = scored(Task.SUMMARIZE, "Anna voted on Monday, in Bergen, in May.")
    invented = scored(Task.SUMMARIZE, "Dolphins won the trophy after extra time.")

    assert 1 >= good > aside > invented == 0


def test_a_label_is_as_good_as_the_document_uses_its_words() -> None:
    labels = ["library", "football", "euros"]

    best, second, wrong = (scored(Task.CLASSIFY, one, labels=labels) for one in
                           ("library", "euros", "football"))  # fmt: skip

    assert (best, wrong) == (1, 0)
    assert 0 < second < 1


def test_a_reply_from_the_document_that_is_about_the_question_is_best() -> None:
    question = "When will the library open?"
    on_topic = scored(Task.ANSWER, "The library will open in May.", question=question)
    beside = scored(Task.ANSWER, "Anna Larsen voted against the budget.", question=question)
    invented = scored(Task.ANSWER, "Probably never.", question=question)

    assert on_topic > beside > invented
    assert scored(Task.ANSWER, "Not in the document.", question=question) == pytest.approx(0.3)


def test_fields_count_that_the_document_states() -> None:
    schema = {"properties": {"who": {}, "total": {}, "day": {}, "place": {}}}
    said = {"who": "Anna Larsen", "total": 4, "day": "Friday", "place": None}

    assert scored(Task.EXTRACT, json.dumps(said), schema=schema) == 0.5
    assert scored(Task.EXTRACT, "no JSON", schema=schema) == 0
