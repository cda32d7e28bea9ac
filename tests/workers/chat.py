"""What servers of OpenAI's protocol say, well or not, for the adapter to read."""

from typing import Any

import pytest

from scheduler.domain.listing import Protocol
from tests.workers.scripted import Say, ask
from workers.calls import (
    CallFailed,
)

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


def said(
    content: Any = "It closes in May.", *, usage: Any = USAGE, finish: Any = "stop", **message: Any
) -> Say:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m-1-2026-01-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": usage,
    }
    if usage is None:
        del body["usage"]
    return Say(body=body)


def failed(status: int, error: Any, **headers: str) -> Say:
    return Say(status=status, body=error, headers=headers)


def coded(status: int, code: str, message: str = "No.", **headers: str) -> Say:
    return failed(status, {"error": {"message": message, "type": "t", "code": code}}, **headers)


def answered(say: Say, **access: Any) -> Any:
    return ask(Protocol.OPENAI, say, **access)


def error_of(say: Say, **access: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        answered(say, **access)
    return caught.value
