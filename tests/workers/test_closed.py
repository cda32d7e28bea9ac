"""JSON Schemas as Anthropic takes them; the rules are those of its structured outputs."""

from typing import Any

import pytest

from scheduler.domain.listing import Protocol, Structured
from tests.workers.scripted import Heard, Say, a_call, ask
from workers.providers.closed import OPTIONAL_MAX, UNIONS_MAX, closed

TEXT = {"type": "string"}
ANSWER = {"content": [{"type": "text", "text": "{}"}], "stop_reason": "end_turn"}


def of(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def shut(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return of(properties, additionalProperties=False, **more)


def test_every_object_is_closed_however_deep() -> None:
    line = of({"sum": {"type": ["number", "null"]}}, required=["sum"])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"party": of({"name": TEXT})},
        **of({"lines": {"type": "array", "items": line}, "who": {"$ref": "#/$defs/party"}}),
    }

    assert closed(schema) == {
        "$defs": {"party": shut({"name": TEXT})},
        **shut(
            {
                "lines": {"type": "array", "items": {**line, "additionalProperties": False}},
                "who": {"$ref": "#/$defs/party"},
            }
        ),
    }


def test_rules_that_no_grammar_holds_are_left_to_the_check() -> None:
    schema = of(
        {
            "n": {"type": "integer", "minimum": 1, "multipleOf": 2},
            "s": {"type": "string", "maxLength": 9, "format": "iban", "pattern": "^A"},
            "d": {"type": "string", "format": "date"},
            "l": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
            "m": {"type": "array", "items": TEXT, "minItems": 2},
            "c": {"oneOf": [TEXT, {"type": "null"}]},
        }
    )

    assert closed(schema) == shut(
        {
            "n": {"type": "integer"},
            "s": TEXT,
            "d": {"type": "string", "format": "date"},
            "l": {"type": "array", "items": TEXT, "minItems": 1},
            "m": {"type": "array", "items": TEXT},
            "c": {"anyOf": [TEXT, {"type": "null"}]},
        }
    )


@pytest.mark.parametrize(
    "schema",
    [
        {},
        of({}),
        of({"a": {}}),
        of({"a": True}),
        of({"a": TEXT}, additionalProperties=TEXT),
        of({"a": TEXT}, patternProperties={"^x": TEXT}),
        of({"a": TEXT}, required=["b"]),
        of({"a": {"type": "array"}}),
        of({"a": {"enum": [{"b": 1}]}}),
        of({"a": {"$ref": "#"}}),
        of({"a": {"$ref": "https://acme.test/schema"}}),
        of({"a": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": of({"b": {"$ref": "#/$defs/a"}})}}),
        of({"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, **{"$defs": {"a": TEXT}}),
        of({str(n): TEXT for n in range(OPTIONAL_MAX + 1)}),
        of({str(n): {"type": ["string", "null"]} for n in range(UNIONS_MAX + 1)}),
    ],
)
def test_what_would_be_refused_is_not_sent(schema: dict[str, Any]) -> None:
    heard: list[Heard] = []

    ask(
        Protocol.ANTHROPIC,
        Say(body=ANSWER),
        a_call(schema=schema),
        heard=heard,
        structured=Structured.SCHEMA,
        body={"output_config": {"effort": "low"}},
    )

    assert heard[0].body["output_config"] == {"effort": "low"}


def test_references_that_fan_out_end_soon() -> None:
    both = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)}

    assert closed(of({"a": {"$ref": "#/$defs/a0"}}, **{"$defs": {**both, "a60": TEXT}})) is None


def test_what_nothing_refers_to_is_left_out() -> None:
    # Each of them is walked through a thousand times over, if it is walked through at all.
    fan = {f"a{n}": of({"l": {"$ref": f"#/$defs/a{n + 1}"}} | {"r": {"$ref": f"#/$defs/a{n + 1}"}})
           for n in range(8)}  # fmt: skip
    idle = {f"b{n}": {"anyOf": [{"$ref": "#/$defs/a0"}]} for n in range(1_000)}
    defs = {**fan, "a8": TEXT, **idle, "used": TEXT}

    assert closed(of({"u": {"$ref": "#/$defs/used"}}, **{"$defs": defs})) == {
        **shut({"u": {"$ref": "#/$defs/used"}}),
        "$defs": {"used": TEXT},
    }


def test_what_is_required_is_no_option() -> None:
    names = {str(n): TEXT for n in range(OPTIONAL_MAX + 1)}

    assert closed(of(names, required=["0"])) == shut(names, required=["0"])


def test_a_schema_that_is_used_twice_counts_twice() -> None:
    half = of({str(n): TEXT for n in range(OPTIONAL_MAX // 2)})
    uses = {name: {"$ref": "#/definitions/half"} for name in ("a", "b")}

    assert closed(of(uses, required=["a", "b"], definitions={"half": half}))
    assert closed(of(uses, required=["a"], definitions={"half": half})) is None
