"""What counts as an answer to a task."""

import asyncio
import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from scheduler.domain.job import CLIENT_TASKS, Task
from tests.workers.scripted import Heard, Say, provider
from workers import contracts
from workers.contracts import OutputInvalid, check

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "who": {"type": ["string", "null"]}},
    "required": ["total"],
    "additionalProperties": False,
}
LABELS = ["spam", "not spam", "Other / unknown"]


def extracted(text: str, schema: dict[str, Any] = SCHEMA) -> Any:
    return check(Task.EXTRACT, text, schema=schema)


def label(text: str) -> Any:
    return check(Task.CLASSIFY, text, labels=LABELS)


@pytest.mark.parametrize("task", [Task.SUMMARIZE, Task.ANSWER])
def test_prose_is_taken_as_it_is_without_its_margins(task: Task) -> None:
    assert check(task, "  A text.\n") == "A text."


@pytest.mark.parametrize("task", CLIENT_TASKS)
@pytest.mark.parametrize("text", ["", " \n\t", "\0", "<think>Let me see.</think>\n"])
def test_nothing_is_no_answer_to_any_task(task: Task, text: str) -> None:
    with pytest.raises(OutputInvalid, match="empty"):
        check(task, text, labels=LABELS, schema=SCHEMA)


def test_thinking_in_front_is_left_out() -> None:
    assert check(Task.SUMMARIZE, "<think>Hm.\n</think>\n\nA text.") == "A text."


def test_thinking_that_the_template_has_opened_is_left_out_too() -> None:
    assert check(Task.SUMMARIZE, "Hm. Long.\n</think>\n\nA text.") == "A text."
    assert extracted('Say {"total": 9}?\n</think>\n\n{"total": 3}') == {"total": 3}


def test_a_text_about_thinking_stays_whole() -> None:
    said = "Put it between <think> and </think>\nin every answer."

    assert check(Task.SUMMARIZE, said) == said
    assert check(Task.SUMMARIZE, "The mark </think> ends it.") == "The mark </think> ends it."
    assert extracted('{"total": 1, "who": "</think> x"}')["who"] == "</think> x"


@pytest.mark.parametrize(
    "text",
    [
        '{"total": 3}',
        '```json\n{"total": 3}\n```',
        '```\n{"total": 3}```',
        'Here it is:\n```json\n{"total": 3}\n```\nAnything else?',
        'Here it is: {"total": 3} as asked.',
        'By page [4] of it: {"total": 3}',
        '{"type": "object"} asks for this: {"total": 3}',
        'As [asked]:\n```json\n{"type": "object"}\n```\n```json\n{"total": 3}\n```',
        '<think>{"total": 9}</think>{"total": 3}',
    ],
)
def test_json_is_found_where_models_put_it(text: str) -> None:
    assert extracted(text) == {"total": 3}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("none", "not JSON"),
        ('{"total": 3', "not JSON"),
        ('[{"total": 3}, {"total": 4}', "not JSON"),
        ('{"more": {"total": 3}}', "`required`|`additionalProperties`"),
        ('{"total": NaN}', "not JSON"),
        ('{"who": "x"}', "`required`"),
        ('{"total": "3"}', "total breaks the schema's `type`"),
        ('{"total": 3, "more": 1}', "`additionalProperties`"),
        ("[" * 100_000, "not JSON"),
        ("[" * 1_000 + "]" * 1_000, "nested too deep"),
        ("```json\n" + " \n" * 100_000 + "{", "not JSON"),
        ('{"total": 123456789012345678901}', "would lose digits"),
        ('{"total": -9223372036854775809}', "would lose digits"),
    ],
)
def test_json_that_breaks_the_schema_is_refused_by_the_rule(text: str, rule: str) -> None:
    with pytest.raises(OutputInvalid, match=rule):
        extracted(text)


def test_a_refusal_never_shows_the_answer() -> None:
    with pytest.raises(OutputInvalid) as caught:
        extracted('{"total": "the secret merger"}')

    assert "merger" not in str(caught.value)


def test_a_character_that_the_database_takes_in_no_text_is_left_out() -> None:
    assert extracted('{"total": 1, "who": "a\\u0000b"}') == {"total": 1, "who": "ab"}


def test_a_whole_number_of_64_bits_keeps_its_digits() -> None:
    assert extracted('{"total": 18446744073709551615}') == {"total": 2**64 - 1}
    assert extracted('{"total": 6.02214076e23}') == {"total": 6.02214076e23}


@pytest.mark.parametrize(
    "figure",
    [
        "-0.0",
        "-0",
        "1e16",
        "-1.5e16",
        "12345678901234567.89",
        "1e19",
        "-1e19",
        "1e20",
        "6e23",
        "1e-7",
    ],
)
def test_a_figure_is_spelled_the_same_when_it_comes_back_from_the_database(
    conn: Connection, figure: str
) -> None:
    said = orjson.dumps(extracted(f'{{"total": {figure}}}'))

    kept = conn.execute(text("SELECT CAST(CAST(:said AS jsonb) AS text)"), {"said": said.decode()})

    assert orjson.dumps(orjson.loads(kept.scalar_one())) == said


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "nonsense"},
        {"properties": {"who": {"pattern": "["}}},
        {"properties": {"who": {"pattern": "^(a|aa)+$"}}},
    ],
)
def test_a_schema_can_neither_hang_nor_break_the_check(schema: dict[str, Any]) -> None:
    with pytest.raises(OutputInvalid, match="schema"):
        extracted('{"who": "' + "a" * 40 + '!"}', schema)


@pytest.mark.parametrize("draft", ["draft-04/schema#", "draft-07/schema#", "draft/2020-12/schema"])
def test_a_schema_that_names_its_draft_cannot_hang_the_check_either(draft: str) -> None:
    schema = {
        "$schema": f"https://json-schema.org/{draft}",
        "properties": {"who": {"$ref": "#"}},
        "pattern": "^(a|aa)+$",
    }

    with pytest.raises(OutputInvalid, match="cannot be held"):
        extracted('{"who": "' + "a" * 60 + '!"}', schema)


@pytest.mark.parametrize("more", [{}, {"additionalProperties": False}])
def test_patterns_of_names_cannot_hang_the_check(more: dict[str, Any]) -> None:
    schema = {"patternProperties": {"^(a|aa)+$": {}}, **more}

    with pytest.raises(OutputInvalid, match="cannot be held"):
        extracted('{"' + "a" * 60 + '!": 1}', schema)


def test_references_that_fan_out_cannot_hang_the_check() -> None:
    names = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}

    with pytest.raises(OutputInvalid, match="cannot be held"):
        extracted("{}", {"$defs": {**names, "a40": {}}, "$ref": "#/$defs/a0"})


SLOW = "a" * 24 + "!"
"""It takes `^(a|aa)+$` some hundredths of a second to see that this is none."""


@pytest.mark.parametrize(
    ("said", "schema"),
    [
        ({f"{SLOW}{n}": 1 for n in range(50)}, {"patternProperties": {"^(a|aa)+$": {}}}),
        ([9_999] * 500, {"items": {"enum": list(range(10_000))}}),
    ],
)
def test_many_short_looks_are_together_no_longer_than_one(
    monkeypatch: pytest.MonkeyPatch, said: Any, schema: dict[str, Any]
) -> None:
    monkeypatch.setattr(contracts, "HOLD_S", 0.05)

    with pytest.raises(OutputInvalid, match="cannot be held"):
        extracted(orjson.dumps(said).decode(), schema)


def test_all_values_of_an_answer_are_held_within_the_time_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contracts, "HOLD_S", 0.05)

    with pytest.raises(OutputInvalid, match="cannot be held"):
        extracted(f'["{SLOW}"] ' * 20, {"items": {"pattern": "^(a|aa)+$"}})


def test_names_are_held_to_their_patterns() -> None:
    schema = {
        "properties": {"who": {}},
        "patternProperties": {"^n_": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    }

    assert extracted('{"who": 1, "n_a": 2, "x": "y"}', schema)
    for wrong in ('{"n_a": "2"}', '{"x": 2}'):
        with pytest.raises(OutputInvalid, match="`type`"):
            extracted(wrong, schema)


DRAFT_4 = "http://json-schema.org/draft-04/schema#"
ABOVE_0 = {"properties": {"total": {"minimum": 0, "exclusiveMinimum": True}}}
PAIR = {"items": [{"type": "integer"}, {"type": "string"}], "additionalItems": False}


@pytest.mark.parametrize(
    ("draft", "schema", "right", "wrong"),
    [
        (DRAFT_4, ABOVE_0, '{"total": 1}', '{"total": 0}'),
        ("http://json-schema.org/draft-07/schema#", PAIR, '[1, "a"]', '["a", 1]'),
        ("https://json-schema.org/draft-07/schema", PAIR, '[1, "a"]', '[1, "a", 2]'),
        ("https://json-schema.org/draft/2019-09/schema", PAIR, '[1, "a"]', "[1, 2]"),
    ],
)
def test_an_answer_is_held_to_the_rules_of_the_draft_that_its_schema_names(
    draft: str, schema: dict[str, Any], right: str, wrong: str
) -> None:
    assert extracted(right, {"$schema": draft, **schema})

    with pytest.raises(OutputInvalid, match="breaks the schema"):
        extracted(wrong, {"$schema": draft, **schema})


@pytest.mark.parametrize("schema", [ABOVE_0, PAIR, {"$schema": "https://acme.com/own", **PAIR}])
def test_a_schema_that_names_no_draft_that_is_known_is_of_the_newest(
    schema: dict[str, Any],
) -> None:
    with pytest.raises(OutputInvalid, match="the job's schema is wrong"):
        extracted('{"total": 1}', schema)


def test_a_value_that_is_named_like_the_draft_is_held_as_it_is() -> None:
    schema = {"$schema": DRAFT_4, "enum": [{"$schema": "x"}]}

    assert extracted('{"$schema": "x"}', schema)


def test_items_are_held_to_be_different_however_many() -> None:
    schema = {"uniqueItems": True}
    many = [{"n": n} for n in range(20_000)]

    assert extracted(orjson.dumps(many).decode(), schema) == many
    assert extracted('[1, true, "1", [1], {"a": 1}]', schema)
    for twice in ("[1, 1.0]", '[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]'):
        with pytest.raises(OutputInvalid, match="`uniqueItems`"):
            extracted(twice, schema)


def test_a_schema_cannot_make_the_worker_call_an_address() -> None:
    async def run() -> list[Heard]:
        heard: list[Heard] = []
        async with provider(Say(body={}), heard) as url:
            with pytest.raises(OutputInvalid, match="refers to what is not in it"):
                await asyncio.to_thread(extracted, "{}", {"$ref": f"{url}/schema.json"})
        return heard

    assert asyncio.run(run()) == []


def test_a_pattern_is_held() -> None:
    schema = {"properties": {"who": {"pattern": "^[A-Z]"}}}

    assert extracted('{"who": "Ann"}', schema) == {"who": "Ann"}
    with pytest.raises(OutputInvalid, match="`pattern`"):
        extracted('{"who": "ann"}', schema)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("spam", "spam"),
        (" Spam.\n", "spam"),
        ('"spam"', "spam"),
        ("**spam**", "spam"),
        ("Label: spam", "spam"),
        ('{"label": "not spam"}', "not spam"),
        ("not spam", "not spam"),
        ("It is not spam, I think.", "not spam"),
        ("OTHER / UNKNOWN", "Other / unknown"),
    ],
)
def test_a_label_is_recognised_as_models_write_it(text: str, wanted: str) -> None:
    assert label(text) == wanted


@pytest.mark.parametrize("labels", [["Spam", "spam"], ["A", "A."], ["1.5", "1 5", "15"]])
def test_labels_that_differ_in_case_or_a_mark_are_told_apart(labels: list[str]) -> None:
    for one in labels:
        assert check(Task.CLASSIFY, one, labels=labels) == one
        assert check(Task.CLASSIFY, f'{{"label": "{one}"}}', labels=labels) == one


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_label_is_the_same_however_its_accents_are_coded(form: Any) -> None:
    labels = [unicodedata.normalize("NFD", "Café"), unicodedata.normalize("NFC", "Thé")]

    for one in labels:
        assert check(Task.CLASSIFY, unicodedata.normalize(form, one), labels=labels) == one


@pytest.mark.parametrize("text", ["ham", "spammy", "spam or not spam", "spam, other / unknown"])
def test_no_label_or_two_are_none(text: str) -> None:
    with pytest.raises(OutputInvalid, match=r"names \d of the 3 labels"):
        label(text)


@given(st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=1, unique=True))
def test_whatever_comes_back_is_a_label_of_the_list(labels: list[str]) -> None:
    for said in labels:
        try:
            assert check(Task.CLASSIFY, said, labels=labels) in labels
        except OutputInvalid:
            continue
