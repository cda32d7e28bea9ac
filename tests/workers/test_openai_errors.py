"""How calls of OpenAI's protocol fail, what that says of the bill, and what is told of it."""

import asyncio

import pytest

from scheduler.domain.errors import Refused, Unavailable
from scheduler.domain.listing import Protocol, ProviderAccess
from tests.workers.chat import coded, error_of, failed, said
from tests.workers.scripted import DOCUMENT, KEY, Heard, Say, a_call, ask
from workers.calls import (
    Billed,
    CallRefused,
    ContentFiltered,
    ContextExceeded,
    FundsExhausted,
    KeyRejected,
    ModelMissing,
    OutcomeUnknown,
    ProviderDown,
    RateLimited,
)
from workers.providers.http import ANSWER_BYTES_MAX, open_client
from workers.providers.openai import OpenAiAdapter

UNBILLED_LATER = [
    (coded(429, "rate_limit_exceeded"), RateLimited),
    (coded(500, "server_error"), ProviderDown),
    (failed(502, b"<html>Bad gateway</html>"), ProviderDown),
    (coded(503, "overloaded"), ProviderDown),
    (coded(498, "capacity_exceeded"), ProviderDown),
    (coded(409, "conflict"), ProviderDown),
]
UNKNOWN_LATER = [
    (failed(504, b""), OutcomeUnknown),
    (coded(408, "timeout"), OutcomeUnknown),
    (Say(body=b'{"choices": [{"mess'), OutcomeUnknown),
    (Say(body=b""), OutcomeUnknown),
    (Say(body={"choices": []}), OutcomeUnknown),
    (Say(body={"choices": [], "error": None}), OutcomeUnknown),
    (Say(status=202, body=b""), OutcomeUnknown),
    (Say(body={"choices": [{"message": None}]}), OutcomeUnknown),
    (Say(body=[1]), OutcomeUnknown),
    (Say(body={"x": "y" * 500}, cut_after=100), OutcomeUnknown),
    (Say(cut_after=0), OutcomeUnknown),
]
REFUSED = [
    (coded(400, "invalid_value"), CallRefused),
    (coded(422, "unprocessable"), CallRefused),
    (coded(400, "context_length_exceeded"), ContextExceeded),
    (coded(400, "exceed_context_size_error"), ContextExceeded),
    (
        failed(400, {"object": "error", "message": "maximum context length is 2048 tokens"}),
        ContextExceeded,
    ),
    (coded(413, ""), ContextExceeded),
    (coded(400, "string_above_max_length"), ContextExceeded),
    (failed(400, {"error": "This model's maximum prompt length is 131072"}), ContextExceeded),
    (failed(422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 9"}), ContextExceeded),
    (coded(429, "rate_limit_exceeded", "Request too large for m-1: Limit 9"), ContextExceeded),
    (coded(429, "exceeded_current_quota_error"), FundsExhausted),
    (coded(403, "x", "Your team has used all available credits"), FundsExhausted),
    (coded(401, "invalid_api_key"), KeyRejected),
    (failed(401, {"statusCode": 401, "message": "Access denied"}), KeyRejected),
    (failed(401, {"message": "Unauthorized", "request_id": "r"}), KeyRejected),
    (coded(403, "unsupported_country"), KeyRejected),
    (coded(404, "model_not_found"), ModelMissing),
    (failed(404, {"detail": "Not Found"}), ModelMissing),
    (failed(405, b""), ModelMissing),
    (failed(402, {"error": {"message": "Insufficient Balance"}}), FundsExhausted),
    (coded(429, "insufficient_quota"), FundsExhausted),
    (coded(429, "credit_balance_exhausted"), FundsExhausted),
    (coded(429, "project_spend_limit_exceeded"), FundsExhausted),
]


@pytest.mark.parametrize(("say", "kind"), UNBILLED_LATER)
def test_what_was_surely_not_billed_may_be_tried_again(say: Say, kind: type) -> None:
    error = error_of(say)

    assert type(error) is kind
    assert isinstance(error, Unavailable)
    assert error.billed is Billed.NO


@pytest.mark.parametrize(("say", "kind"), UNKNOWN_LATER)
def test_what_may_have_been_billed_is_said_to_be_unknown(say: Say, kind: type) -> None:
    error = error_of(say)

    assert type(error) is kind
    assert isinstance(error, Unavailable)
    assert error.billed is Billed.UNKNOWN


@pytest.mark.parametrize(("say", "kind"), REFUSED)
def test_what_will_not_mend_by_waiting_is_refused(say: Say, kind: type) -> None:
    error = error_of(say)

    assert type(error) is kind
    assert isinstance(error, Refused)
    assert error.billed is Billed.NO


def test_a_filtered_document_may_have_been_billed() -> None:
    azure = {
        "error": {
            "code": "content_filter",
            "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation"},
        }
    }

    error = error_of(failed(400, azure))

    assert isinstance(error, ContentFiltered)
    assert error.billed is Billed.UNKNOWN


def test_a_document_that_a_router_flagged_says_nothing_of_the_key() -> None:
    about = {"reasons": ["violence"], "flagged_input": "no...", "provider_name": "acme"}
    said = {"code": 403, "message": "Your input was flagged", "metadata": about}

    assert isinstance(error_of(failed(403, {"error": said})), ContentFiltered)


def test_an_error_wrapped_into_a_success_is_an_error() -> None:
    said = {"error": {"code": 429, "message": "slow"}}

    assert isinstance(error_of(Say(body=said)), RateLimited)
    assert isinstance(error_of(Say(body=said | {"choices": []})), RateLimited)


def test_a_provider_that_says_nothing_is_given_up_at_its_time() -> None:
    error = error_of(Say(silent=True), timeout_s=0.05)

    assert isinstance(error, OutcomeUnknown)
    assert "0.05 s" in str(error)


def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    error = error_of(Say(body=b" " * (ANSWER_BYTES_MAX + 1)))

    assert isinstance(error, OutcomeUnknown)
    assert "longer than" in str(error)


def test_a_redirect_is_not_followed() -> None:
    heard: list[Heard] = []

    with pytest.raises(ModelMissing):
        ask(
            Protocol.OPENAI,
            Say(status=307, headers={"Location": "/elsewhere"}),
            heard=heard,
        )

    assert [request.path for request in heard] == ["/chat/completions"]


def test_nobody_home_is_surely_not_billed() -> None:
    async def run() -> None:
        async with open_client(concurrency=1) as client:
            # Nothing can listen on port 1 without being root, and nothing does.
            access = ProviderAccess(
                name="acme", protocol=Protocol.OPENAI, base_url="http://127.0.0.1:1/v1"
            )
            await OpenAiAdapter(access, client).answer(a_call())

    with pytest.raises(ProviderDown) as caught:
        asyncio.run(run())

    assert caught.value.billed is Billed.NO


def test_an_address_that_is_none_is_the_catalogs_fault() -> None:
    with pytest.raises(ModelMissing, match="not an HTTP URL"):
        ask(Protocol.OPENAI, said(), base_url="ftp://example.test")


@pytest.mark.parametrize("url", ["http://h:port/v1", "http://[::1/v1", "http://h:99999/v1"])
def test_an_address_that_cannot_be_read_is_the_catalogs_fault(url: str) -> None:
    with pytest.raises(ModelMissing, match="not an HTTP URL"):
        ask(Protocol.OPENAI, said(), base_url=url)


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_does_not_connect_leaves_nothing_to_bill(status: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        access = ProviderAccess(
            name="acme",
            protocol=Protocol.OPENAI,
            base_url="https://acme.test/v1",
            proxy=f"http://127.0.0.1:{port}",
        )
        async with server, open_client(concurrency=1) as client:
            await OpenAiAdapter(access, client).answer(a_call())

    with pytest.raises(ProviderDown) as caught:
        asyncio.run(run())

    assert caught.value.billed is Billed.NO


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            0.0,
        ),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
    ],
)
def test_the_wait_that_was_asked_for_is_passed_on(
    headers: dict[str, str], wait_s: float | None
) -> None:
    error = error_of(coded(429, "rate_limit_exceeded", **headers))

    assert isinstance(error, RateLimited)
    assert error.retry_after_s == wait_s


def test_an_error_never_shows_the_key() -> None:
    error = error_of(coded(401, "invalid_api_key", f"Incorrect API key provided: {KEY}."))

    assert KEY not in str(error)
    assert "[key]" in str(error)


def test_an_error_never_shows_a_key_of_any_form() -> None:
    error = error_of(coded(401, "x", "The key Zebra/7 is unknown."), api_key="Zebra/7")

    assert "Zebra" not in str(error)


def test_an_error_never_shows_a_masked_key() -> None:
    error = error_of(coded(401, "x", "Incorrect API key provided: sk-secr*********6789."))

    assert "6789" not in str(error)


def test_an_error_never_shows_the_document() -> None:
    error = error_of(coded(400, "invalid", "cannot parse 'confidential merger of Alpha'"))

    assert "merger" not in str(error)
    assert "withheld" in str(error)


def test_a_validation_error_that_holds_the_document_is_told_without_it() -> None:
    detail = [{"loc": ["messages"], "msg": "too many messages", "input": DOCUMENT}]

    error = error_of(failed(422, {"detail": detail}))

    assert "too many messages" in str(error)
    assert "merger" not in str(error)


def test_an_errors_message_is_bounded() -> None:
    assert len(str(error_of(coded(400, "c" * 5000, "no " * 5000)))) < 400


def test_the_key_is_not_in_what_is_printed_of_an_access() -> None:
    access = ProviderAccess(
        name="acme", protocol=Protocol.OPENAI, api_key=KEY, headers={"X-Key": KEY}
    )

    assert KEY not in repr(access)
