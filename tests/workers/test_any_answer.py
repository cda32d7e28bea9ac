"""Whatever a provider says, an adapter answers or fails in one of its own ways."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scheduler.domain.listing import Protocol
from tests.workers.scripted import Say, ask
from workers.calls import Answer, CallFailed

# The words that the protocols know, so that examples come near to what adapters read.
WORDS = (
    "choices message content text type finish_reason usage prompt_tokens completion_tokens error "
    "code stop_reason input_tokens output_tokens candidates parts finishReason usageMetadata "
    "details promptTokenCount promptFeedback blockReason thought refusal detail msg "
    "innererror retryDelay"
)
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)
bodies = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(tuple(WORDS.split())), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("protocol", [Protocol.OPENAI, Protocol.ANTHROPIC, Protocol.GEMINI])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(body={"details": True}, wrapped=True, status=400)
@given(body=bodies, wrapped=st.booleans(), status=st.sampled_from([200, 400, 429, 500]))
def test_no_answer_breaks_an_adapter(
    protocol: Protocol, body: Any, wrapped: bool, status: int
) -> None:
    near: dict[Protocol, Any] = {
        Protocol.OPENAI: {"choices": [{"message": body, "finish_reason": body}], "usage": body},
        Protocol.ANTHROPIC: {"content": [body], "stop_reason": body, "usage": body},
        Protocol.GEMINI: {"candidates": [{"content": body, "finishReason": body}]},
    }
    said = near[protocol] if wrapped and status == 200 else body
    if wrapped and status != 200:
        said = {"error": body}

    try:
        answer = ask(protocol, Say(body=said, status=status))
    except CallFailed:
        return

    assert isinstance(answer, Answer)
    assert isinstance(answer.text, str)
