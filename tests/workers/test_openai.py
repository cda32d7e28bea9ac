"""OpenAI's protocol, and the servers that speak it differently; over real HTTP."""

from typing import Any

import orjson
import pytest

from scheduler.domain.listing import Protocol, ProviderAccess, Structured
from tests.workers.chat import USAGE, answered, said
from tests.workers.scripted import DOCUMENT, KEY, SCHEMA, Heard, Say, a_call, ask
from workers.calls import (
    Finish,
    Usage,
)
from workers.providers.openai import _format


def test_an_answer_comes_with_what_is_billed_and_who_served_it() -> None:
    answer = answered(said())

    assert answer.text == "It closes in May."
    assert answer.usage == Usage(input_tokens=20, output_tokens=5)
    assert answer.finish is Finish.STOP
    assert (answer.model, answer.request_id) == ("m-1-2026-01-01", "chatcmpl-1")
    assert answer.seconds > 0


def test_the_request_is_the_protocols() -> None:
    heard: list[Heard] = []

    ask(Protocol.OPENAI, said(), heard=heard, path="/v1")

    [request] = heard
    assert request.path == "/v1/chat/completions"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Idempotency-Key"] == "attempt-7"
    assert request.headers["X-Client-Request-Id"] == "attempt-7"
    assert request.body == {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "You summarize."},
            {"role": "user", "content": f"Summarize: {DOCUMENT}"},
        ],
        "max_tokens": 50,
        "temperature": 0.0,
    }


def test_what_servers_do_differently_is_configured() -> None:
    heard: list[Heard] = []

    ask(
        Protocol.OPENAI,
        said(),
        heard=heard,
        path="/openai/deployments/{model}",
        key_header="api-key",
        query={"api-version": "2024-10-21"},
        limit_field="max_completion_tokens",
        temperature=False,
        body={"reasoning_effort": "none"},
        headers={"X-Team": "legal"},
    )

    [request] = heard
    assert request.path == "/openai/deployments/m-1/chat/completions"
    assert request.query == {"api-version": "2024-10-21"}
    assert request.headers["api-key"] == KEY
    assert request.headers["X-Team"] == "legal"
    assert "Authorization" not in request.headers
    assert request.body["max_completion_tokens"] == 50
    assert request.body["reasoning_effort"] == "none"
    assert not {"max_tokens", "temperature"} & request.body.keys()


def test_a_server_without_key_is_sent_none() -> None:
    heard: list[Heard] = []

    ask(Protocol.OPENAI, said(), heard=heard, api_key="")

    assert "Authorization" not in heard[0].headers


@pytest.mark.parametrize(
    ("structured", "wanted"),
    [
        (Structured.NONE, None),
        (Structured.JSON, {"type": "json_object"}),
        (
            Structured.SCHEMA,
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        ),
    ],
)
def test_a_schema_is_sent_as_far_as_the_model_can_be_held_to_it(
    structured: Structured, wanted: Any
) -> None:
    heard: list[Heard] = []

    ask(Protocol.OPENAI, said(), a_call(schema=SCHEMA), heard=heard, structured=structured)

    assert heard[0].body.get("response_format") == wanted


def test_what_is_no_object_is_sent_where_a_server_can_be_held_to_it() -> None:
    heard: list[Heard] = []
    schema = {"type": "array", "items": {"type": "string"}}

    ask(Protocol.OPENAI, said(), a_call(schema=schema), heard=heard, structured=Structured.SCHEMA)
    ask(Protocol.OPENAI, said(), a_call(schema=schema), heard=heard, structured=Structured.JSON)

    assert heard[0].body["response_format"]["json_schema"]["schema"] == schema
    assert "response_format" not in heard[1].body


@pytest.mark.parametrize(
    ("base_url", "schema", "is_sent"),
    [
        ("https://api.openai.com/v1", {"type": "array"}, False),
        ("https://eu.api.openai.com/v1", {"enum": [1]}, False),
        ("https://acme.openai.azure.com/openai/v1", {"type": "array"}, False),
        ("https://api.openai.com/v1", {"type": "object"}, True),
        ("https://openai.com.test/v1", {"type": "array"}, True),
    ],
)
def test_openai_itself_is_sent_schemas_of_objects_alone(
    base_url: str, schema: dict[str, Any], is_sent: bool
) -> None:
    access = ProviderAccess(
        name="acme",
        protocol=Protocol.OPENAI,
        base_url=base_url,
        structured=Structured.SCHEMA,
    )

    assert bool(_format(schema, access)) is is_sent


@pytest.mark.parametrize(
    ("finish", "message", "wanted"),
    [
        ("stop", {}, Finish.STOP),
        (None, {}, Finish.STOP),
        ("length", {}, Finish.LENGTH),
        ("model_length", {}, Finish.LENGTH),
        ("eos_token", {}, Finish.STOP),
        ("STOP", {}, Finish.STOP),
        ("MAX_TOKENS", {}, Finish.LENGTH),
        ("content_filter", {}, Finish.REFUSAL),
        ("content_filter: RECITATION", {}, Finish.REFUSAL),
        ("error", {}, Finish.OTHER),
        ("tool_calls", {"tool_calls": [{"id": "1"}]}, Finish.OTHER),
        ("insufficient_system_resource", {}, Finish.OTHER),
        ("stop", {"refusal": "I can't."}, Finish.REFUSAL),
    ],
)
def test_an_answer_says_why_it_ended(finish: Any, message: Any, wanted: Finish) -> None:
    assert answered(said(finish=finish, **message)).finish is wanted


def test_thinking_is_left_out_of_a_text_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "In May."}]

    assert answered(said(parts)).text == "In May."


def test_a_refusal_without_content_is_an_empty_text() -> None:
    assert answered(said(None, refusal="No.")).text == ""


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 0, "completion_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 10**9, "completion_tokens": 5},
        {"prompt_tokens": 20, "completion_tokens": 10**9},
        {"prompt_tokens": 20, "completion_tokens": 51 + 16},
        {"prompt_tokens": "many", "completion_tokens": 5},
        {**USAGE, "prompt_tokens_details": {"cached_tokens": 21}},
        [],
    ],
)
def test_a_usage_that_cannot_be_is_none(usage: Any) -> None:
    assert answered(said(usage=usage)).usage is None


def test_cached_tokens_are_among_the_input() -> None:
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 12}}

    assert answered(said(usage=usage)).usage == Usage(
        input_tokens=20, output_tokens=5, cached_input_tokens=12
    )


def test_thinking_that_only_the_total_counts_is_output() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 55}

    found = answered(said(usage=usage)).usage

    assert found == Usage(input_tokens=20, output_tokens=35)


@pytest.mark.parametrize(
    ("spelt", "text"),
    [
        (lambda body: b"\xef\xbb\xbf" + body, "It closes in May."),
        (lambda body: b"\n\n \r\n" + body + b"\n", "It closes in May."),
        (lambda body: body.replace(b'"index":0', b'"index":0,"logprobs":NaN'), "It closes in May."),
        (lambda body: body.replace(b"May", b"M\\ud83day"), "It closes in M?ay."),
        (lambda body: body.replace(b"May", b"M\xffay"), "It closes in M\ufffday."),
        (lambda body: body.replace(b"in May", b"in\nMay"), "It closes in\nMay."),
    ],
)
def test_an_answer_that_was_paid_for_is_read_however_it_is_spelled(spelt: Any, text: str) -> None:
    answer = answered(Say(body=spelt(orjson.dumps(said().body))))

    assert answer.text == text
    assert answer.usage == Usage(input_tokens=20, output_tokens=5)
    assert orjson.dumps(answer.text)


def test_a_schema_with_a_number_of_any_size_is_sent() -> None:
    heard: list[Heard] = []
    schema = {"type": "object", "properties": {"n": {"maximum": 10**30}}}

    ask(Protocol.OPENAI, said(), a_call(schema=schema), heard=heard, structured=Structured.SCHEMA)

    assert heard[0].body["response_format"]["json_schema"]["name"] == "answer"


def test_a_document_of_megabytes_is_sent_whole() -> None:
    heard: list[Heard] = []
    long = "word " * 500_000

    ask(Protocol.OPENAI, said(), a_call(prompt=long), heard=heard)

    assert heard[0].body["messages"][1]["content"] == long
