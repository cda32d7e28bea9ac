"""Anthropic's Messages, over real HTTP."""

from contextlib import suppress
from typing import Any

import pytest

from scheduler.domain.listing import Protocol, Structured
from tests.workers.scripted import DOCUMENT, KEY, SCHEMA, Heard, Say, a_call, ask
from workers.calls import (
    Answer,
    Billed,
    CallFailed,
    CallRefused,
    ContextExceeded,
    Finish,
    FundsExhausted,
    KeyRejected,
    ModelMissing,
    OutcomeUnknown,
    ProviderDown,
    RateLimited,
    Usage,
)


def said(**fields: Any) -> Say:
    body = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-x-20260101",
        "content": [{"type": "text", "text": "In May."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 20, "output_tokens": 5},
    }
    return Say(body=body | fields, headers={"request-id": "req_01"})


def failed(status: int, kind: str, message: str = "No.", **headers: str) -> Say:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_02"}
    return Say(status=status, body=body, headers=headers)


def answered(say: Say, **more: Any) -> Answer:
    return ask(Protocol.ANTHROPIC, say, **more)


def test_an_answer_comes_with_what_is_billed_and_who_served_it() -> None:
    answer = answered(said())

    assert answer.text == "In May."
    assert answer.usage == Usage(input_tokens=20, output_tokens=5)
    assert answer.finish is Finish.STOP
    assert (answer.model, answer.request_id) == ("claude-x-20260101", "req_01")


def test_the_request_is_the_protocols() -> None:
    heard: list[Heard] = []

    answered(said(), heard=heard)

    [request] = heard
    assert request.path == "/v1/messages"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.body == {
        "model": "m-1",
        "max_tokens": 50,
        "system": "You summarize.",
        "messages": [{"role": "user", "content": f"Summarize: {DOCUMENT}"}],
        "temperature": 0.0,
    }


@pytest.mark.parametrize("protocol", [Protocol.OPENAI, Protocol.ANTHROPIC, Protocol.GEMINI])
def test_an_authorization_says_how_it_is_to_be_read(protocol: Protocol) -> None:
    heard: list[Heard] = []

    with suppress(CallFailed):
        ask(protocol, said(), heard=heard, key_header="Authorization")

    assert heard[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_schema_and_the_catalogs_fields_go_into_one_object() -> None:
    heard: list[Heard] = []

    answered(
        said(),
        call=a_call(schema=SCHEMA),
        heard=heard,
        structured=Structured.SCHEMA,
        temperature=False,
        body={"output_config": {"effort": "low"}},
    )

    assert heard[0].body["output_config"] == {
        "format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}},
        "effort": "low",
    }
    assert "temperature" not in heard[0].body


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("pause_turn", Finish.OTHER),
        ("refusal", Finish.REFUSAL),
    ],
)
def test_an_answer_says_why_it_ended(reason: str, wanted: Finish) -> None:
    assert answered(said(stop_reason=reason)).finish is wanted


def test_a_refusal_may_have_no_content() -> None:
    answer = answered(said(content=[], stop_reason="refusal"))

    assert (answer.text, answer.finish) == ("", Finish.REFUSAL)


def test_thinking_is_left_out() -> None:
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "In May."}]

    assert answered(said(content=blocks)).text == "In May."


def test_what_a_cache_took_or_gave_is_input_too() -> None:
    usage = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 7,
        "output_tokens": 5,
    }

    assert answered(said(usage=usage)).usage == Usage(
        input_tokens=22, output_tokens=5, cached_input_tokens=7
    )


@pytest.mark.parametrize(
    "usage", [None, {}, {"input_tokens": 5}, {"input_tokens": 10**9, "output_tokens": 1}, 3]
)
def test_a_usage_that_cannot_be_is_none(usage: Any) -> None:
    assert answered(said(usage=usage)).usage is None


@pytest.mark.parametrize(
    ("say", "kind", "billed"),
    [
        (failed(400, "invalid_request_error"), CallRefused, Billed.NO),
        (
            failed(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            ContextExceeded,
            Billed.NO,
        ),
        (
            failed(400, "invalid_request_error", "input and `max_tokens` exceed context limit"),
            ContextExceeded,
            Billed.NO,
        ),
        (
            failed(400, "invalid_request_error", "Your credit balance is too low to access"),
            FundsExhausted,
            Billed.NO,
        ),
        (failed(401, "authentication_error"), KeyRejected, Billed.NO),
        (failed(402, "billing_error"), FundsExhausted, Billed.NO),
        (failed(403, "permission_error"), KeyRejected, Billed.NO),
        (failed(404, "not_found_error"), ModelMissing, Billed.NO),
        (failed(413, "request_too_large"), ContextExceeded, Billed.NO),
        (failed(429, "rate_limit_error"), RateLimited, Billed.NO),
        (failed(500, "api_error"), ProviderDown, Billed.NO),
        (failed(529, "overloaded_error"), ProviderDown, Billed.NO),
        (failed(504, "timeout_error"), OutcomeUnknown, Billed.UNKNOWN),
        (Say(body={"content": "text"}), OutcomeUnknown, Billed.UNKNOWN),
        (Say(body=b'{"content": [{"ty'), OutcomeUnknown, Billed.UNKNOWN),
        (Say(body={"a": "b" * 200}, cut_after=50), OutcomeUnknown, Billed.UNKNOWN),
    ],
)
def test_failures_are_told_apart(say: Say, kind: type, billed: Billed) -> None:
    with pytest.raises(CallFailed) as caught:
        answered(say)

    assert type(caught.value) is kind
    assert caught.value.billed is billed


def test_a_failure_keeps_the_request_id_and_the_wait() -> None:
    with pytest.raises(RateLimited) as caught:
        answered(failed(429, "rate_limit_error", **{"retry-after": "12"}))

    assert caught.value.request_id == "req_02"
    assert caught.value.retry_after_s == 12.0
