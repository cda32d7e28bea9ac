"""Google's generateContent, over real HTTP."""

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
    KeyRejected,
    ModelMissing,
    OutcomeUnknown,
    ProviderDown,
    RateLimited,
    Usage,
)

INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY = "type.googleapis.com/google.rpc.RetryInfo"


def said(*parts: dict[str, Any], reason: str = "STOP", **fields: Any) -> Say:
    body = {
        "candidates": [
            {
                "content": {"parts": list(parts) or [{"text": "In May."}], "role": "model"},
                "finishReason": reason,
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 20,
            "candidatesTokenCount": 5,
            "totalTokenCount": 25,
        },
        "modelVersion": "gemini-x-001",
        "responseId": "resp-1",
    }
    return Say(body=body | fields)


def failed(code: int, status: str, message: str = "No.", *details: dict[str, Any]) -> Say:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return Say(status=code, body={"error": error})


def answered(say: Say, **more: Any) -> Answer:
    return ask(Protocol.GEMINI, say, **more)


def test_an_answer_comes_with_what_is_billed_and_who_served_it() -> None:
    answer = answered(said())

    assert answer.text == "In May."
    assert answer.usage == Usage(input_tokens=20, output_tokens=5)
    assert answer.finish is Finish.STOP
    assert (answer.model, answer.request_id) == ("gemini-x-001", "resp-1")


def test_the_request_is_the_protocols() -> None:
    heard: list[Heard] = []

    answered(said(), heard=heard, path="/v1beta")

    [request] = heard
    assert request.path == "/v1beta/models/m-1:generateContent"
    assert request.headers["x-goog-api-key"] == KEY
    assert request.query == {}
    assert request.body == {
        "systemInstruction": {"parts": [{"text": "You summarize."}]},
        "contents": [{"role": "user", "parts": [{"text": f"Summarize: {DOCUMENT}"}]}],
        "generationConfig": {"maxOutputTokens": 50, "temperature": 0.0},
    }


def test_a_schema_and_the_catalogs_settings_go_along() -> None:
    heard: list[Heard] = []

    answered(
        said(),
        call=a_call(schema=SCHEMA),
        heard=heard,
        structured=Structured.SCHEMA,
        temperature=False,
        body={"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}},
    )

    assert heard[0].body["generationConfig"] == {
        "maxOutputTokens": 50,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        ("STOP", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.REFUSAL),
        ("RECITATION", Finish.REFUSAL),
        ("PROHIBITED_CONTENT", Finish.REFUSAL),
        ("MODEL_ARMOR", Finish.REFUSAL),
        ("MALFORMED_FUNCTION_CALL", Finish.OTHER),
        ("SOMETHING_NEW", Finish.OTHER),
    ],
)
def test_an_answer_says_why_it_ended(reason: str, wanted: Finish) -> None:
    assert answered(said(reason=reason)).finish is wanted


def test_an_answer_that_ended_while_thinking_is_empty_and_cut() -> None:
    say = said(candidates=[{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}])

    answer = answered(say)

    assert (answer.text, answer.finish) == ("", Finish.LENGTH)


def test_a_blocked_prompt_is_a_refusal_that_is_billed() -> None:
    body = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 20},
    }

    answer = answered(Say(body=body))

    assert answer.finish is Finish.REFUSAL
    assert answer.usage == Usage(input_tokens=20, output_tokens=0)


def test_thoughts_are_left_out_of_the_text_and_in_the_bill() -> None:
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 30}

    answer = answered(
        said({"text": "hm", "thought": True}, {"text": "In May."}, usageMetadata=usage)
    )

    assert answer.text == "In May."
    assert answer.usage == Usage(input_tokens=20, output_tokens=35)


def test_what_a_tool_brought_is_input_too() -> None:
    usage = {"promptTokenCount": 20, "toolUsePromptTokenCount": 9, "candidatesTokenCount": 5}

    assert answered(said(usageMetadata=usage)).usage == Usage(input_tokens=29, output_tokens=5)


@pytest.mark.parametrize("usage", [None, {}, {"promptTokenCount": 10**9}])
def test_a_usage_that_cannot_be_is_none(usage: Any) -> None:
    assert answered(said(usageMetadata=usage)).usage is None


@pytest.mark.parametrize(
    ("say", "kind", "billed"),
    [
        (failed(400, "INVALID_ARGUMENT"), CallRefused, Billed.NO),
        (
            failed(
                400,
                "INVALID_ARGUMENT",
                "API key not valid.",
                {"@type": INFO, "reason": "API_KEY_INVALID"},
            ),
            KeyRejected,
            Billed.NO,
        ),
        (
            failed(
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            ContextExceeded,
            Billed.NO,
        ),
        (failed(403, "PERMISSION_DENIED"), KeyRejected, Billed.NO),
        (failed(404, "NOT_FOUND"), ModelMissing, Billed.NO),
        (failed(429, "RESOURCE_EXHAUSTED"), RateLimited, Billed.NO),
        (failed(500, "INTERNAL"), ProviderDown, Billed.NO),
        (failed(503, "UNAVAILABLE"), ProviderDown, Billed.NO),
        (failed(504, "DEADLINE_EXCEEDED"), OutcomeUnknown, Billed.UNKNOWN),
        (Say(body={"candidates": []}), OutcomeUnknown, Billed.UNKNOWN),
        (Say(body=b'{"candidates": ['), OutcomeUnknown, Billed.UNKNOWN),
        (Say(body={"a": "b" * 200}, cut_after=50), OutcomeUnknown, Billed.UNKNOWN),
    ],
)
def test_failures_are_told_apart(say: Say, kind: type, billed: Billed) -> None:
    with pytest.raises(CallFailed) as caught:
        answered(say)

    assert type(caught.value) is kind
    assert caught.value.billed is billed


def test_the_wait_stands_in_the_errors_details() -> None:
    with pytest.raises(RateLimited) as caught:
        answered(failed(429, "RESOURCE_EXHAUSTED", "", {"@type": RETRY, "retryDelay": "34.5s"}))

    assert caught.value.retry_after_s == 34.5
