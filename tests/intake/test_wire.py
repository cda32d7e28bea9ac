"""What a message may say, and what the published schemas promise of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from scheduler.domain.job import Task
from scheduler.intake.reasons import reason_of
from scheduler.intake.schemas import documents, schema_of
from scheduler.intake.wire import FeedbackMessage, JobMessage

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
SMALLEST = {"job_id": "a1", "task": "summarize", "text": "..."}


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        JobMessage.model_validate_json(json.dumps(SMALLEST | fields))
    return reason_of(caught.value)


def test_the_committed_schemas_are_current() -> None:
    assert {path.name: path.read_text() for path in SCHEMAS.iterdir()} == documents()


def test_a_misspelt_limit_is_refused_with_the_field_that_was_meant() -> None:
    assert "did you mean 'max_cost_usd'?" in refusal(max_cost=1)


def test_a_field_of_the_senders_own_is_not_looked_at() -> None:
    JobMessage.model_validate_json(json.dumps(SMALLEST | {"x-trace": {"any": ["thing"]}}))


DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def nested(levels: int) -> dict[str, Any]:
    """A schema of so many objects within each other."""
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        nested(64),
        {"$ref": "#/$defs/one", "$defs": {"one": {"type": "object"}}},
        {"$ref": "#/definitions/one", "definitions": {"one": True}},
        {"properties": {"child": {"$ref": "#"}}},
        {"$id": "https://example.com/all", "$ref": "#one", "$defs": {"one": {"$anchor": "one"}}},
        {"items": {"$id": "part", "$ref": "#/$defs/own", "$defs": {"own": {}}}},
        {"$schema": DRAFT_7, "$ref": "#one", "definitions": {"one": {"$id": "#one"}}},
        {"$schema": DRAFT_4, "id": "https://example.com/all", "items": {"$ref": "#"}},
        {"$schema": DRAFT_4, "properties": {"id": {"minimum": 0, "exclusiveMinimum": True}}},
        {"$schema": DRAFT_7, "items": [{"type": "integer"}, {"type": "string"}]},
    ],
)
def test_a_schema_may_refer_to_what_is_in_it(schema: dict[str, Any]) -> None:
    asked = SMALLEST | {"task": "extract", "schema": schema}

    assert JobMessage.model_validate_json(json.dumps(asked)).json_schema == schema


def test_a_misspelt_task_is_refused_with_the_task_that_was_meant() -> None:
    assert "did you mean 'summarize'?" in refusal(task="summarise")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"priority": 0}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"deadline": "2026-12-31T00:00:00"}, "timezone"),
        ({"deadline": "0001-01-01T00:00:00Z"}, "before the year 2000"),
        ({"deadline": 1_800_000_000}, "deadline"),
        ({"min_quality": 1.01}, "min_quality"),
        ({"max_cost_usd": -1}, "write it like"),
        ({"max_cost_usd": "1e99"}, "write it like"),
        ({"max_cost_usd": "1e9999999"}, "write it like"),
        ({"max_cost_usd": True}, "write USD like"),
        ({"gain_usd": -0.5}, "write it like"),
        ({"loss_usd": "1000000.000000001"}, "is more than 1000000 USD"),
        ({"residency": []}, "residency"),
        ({"residency": ["no such place!"]}, "residency"),
        ({"text": None}, "either text or path"),
        ({"path": "a.txt"}, "either text or path"),
        ({"text": " \n"}, "text is empty"),
        ({"job_id": "a\nb"}, "job_id"),
        ({"job_id": "é" * 101}, "200 bytes"),
        ({"job_id": "apportion:judge:1"}, "the service's own"),
        ({"task": "judge"}, "is none of summarize, extract, classify, answer"),
        ({"task": "extract"}, "extract needs schema"),
        ({"task": "classify"}, "classify needs labels"),
        ({"task": "answer"}, "answer needs question"),
        ({"labels": ["a", "b"]}, "labels is not for summarize"),
        ({"task": "classify", "labels": ["a", "a"]}, "twice"),
        ({"task": "extract", "schema": {"type": "nonsense"}}, "no JSON Schema"),
        ({"task": "extract", "schema": {"items": [{}]}}, "no JSON Schema"),
        ({"task": "extract", "schema": {"$schema": DRAFT_4, "minimum": "0"}}, "no JSON Schema"),
        (
            {
                "task": "extract",
                "schema": {"patternProperties": {"^(a|aa)+$": {}}, "unevaluatedProperties": False},
            },
            "use additionalProperties",
        ),
        ({"task": "extract", "schema": {"$ref": "http://elsewhere/"}}, "$defs"),
        ({"task": "extract", "schema": {"$ref": "#/$defs/absent"}}, "where no schema is"),
        ({"task": "extract", "schema": {"type": "object", "$ref": "#/type"}}, "where no schema is"),
        ({"task": "extract", "schema": {"not": {"$ref": "#/type/1", "type": "null"}}}, "no schema"),
        ({"task": "extract", "schema": nested(65)}, "more than 64 levels deep"),
        ({"tags": {"a": 1}}, "tags"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(**fields)


def test_no_reason_repeats_the_document() -> None:
    assert "confidential words" not in refusal(text="confidential words", priority=77, extra=1)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
names = sorted(field.alias or name for name, field in JobMessage.model_fields.items())
fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(names, values)
    | {
        "task": st.sampled_from([*Task, "other"]),
        "priority": st.integers(-1, 11),
        "labels": st.lists(st.sampled_from("abc"), max_size=3),
        "question": st.just("why?"),
        "words": st.integers(-1, 5),
        "text": st.sampled_from(["...", None]),
    },
)


@given(fields)
def test_what_is_taken_is_valid_by_the_published_schema(said: dict[str, Any]) -> None:
    message = SMALLEST | said
    try:
        JobMessage.model_validate_json(json.dumps(message))
    except ValidationError:
        return
    present = {name: value for name, value in message.items() if value is not None}

    Draft202012Validator(schema_of("job")).validate(present)


def test_a_score_comes_with_kind_score() -> None:
    FeedbackMessage.model_validate_json('{"job_id": "a", "kind": "score", "score": 1}')
    for wrong in ('{"job_id": "a", "kind": "score"}', '{"job_id": "a", "kind": "use", "score": 1}'):
        with pytest.raises(ValidationError, match="go together"):
            FeedbackMessage.model_validate_json(wrong)


def test_a_reference_comes_with_kind_reference() -> None:
    said = '{"job_id": "a", "kind": "reference", "reference": {"total": 4}}'
    assert FeedbackMessage.model_validate_json(said).reference == {"total": 4}
    valid = Draft202012Validator(schema_of("feedback")).is_valid
    assert valid(json.loads(said))
    for wrong in (
        '{"job_id": "a", "kind": "reference"}',
        '{"job_id": "a", "kind": "use", "reference": "x"}',
    ):
        with pytest.raises(ValidationError, match="kind reference"):
            FeedbackMessage.model_validate_json(wrong)
        assert not valid(json.loads(wrong))
