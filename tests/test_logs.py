"""No secret reaches a log, whoever writes it, and programs can read every line."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from scheduler.logs import HIDDEN, REPEAT_S, Redactor, configure, known_secrets

SECRET = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The logging that the test session has of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def logged(*, as_json: bool = True, level: str = "INFO") -> io.StringIO:
    out = io.StringIO()
    configure(level=level, as_json=as_json, redactor=Redactor([SECRET]), stream=out)
    return out


@pytest.mark.parametrize(
    "text",
    [
        f"key {SECRET}",
        "postgresql+psycopg://apportion:p%40ss-word@db/apportion",
        "amqp://user:p@ss-word@rabbit:5672//",
        "amqp://u:first-pass-word@one;amqp://u:second-pass-word@two",
        "Authorization: Bearer ss-word.ss-word",
        "{'authorization': 'Bearer ss-word-ss-word'}",
        '{"x-api-key":"ss-word-ss-word"}',
        "x-goog-api-key=ss-word-ss-word",
        "GET https://host/v1/models?key=ss-word-ss-word&alt=sse",
        "bearer ss-word.ss-word.ss-word",
        "sk-proj-ss-word-ss-word",
        "AIzaSyss-word-ss-word-ss-word",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str) -> None:
    redacted = Redactor([SECRET]).text(text)

    assert "ss-word" not in redacted
    assert SECRET not in redacted
    assert HIDDEN in redacted


@pytest.mark.parametrize(
    "text",
    [
        "plan 7: 20,000 jobs, value 18,211.4, bound 18,230.0",
        "postgresql+psycopg://apportion@db:5432/apportion",
        "http://localhost:8377/v1",
        "key=job-17 offer=openai/gpt-4.1-mini@us",
        "2026-11-24T12:00:00+00:00",
        "the basic plan",
    ],
)
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert Redactor([SECRET]).text(text) == text


@given(st.text(min_size=6), st.text(), st.text())
def test_a_known_secret_is_taken_out_wherever_it_stands(
    secret: str, before: str, after: str
) -> None:
    if secret not in HIDDEN * 3 + before + after:
        assert secret not in Redactor([secret]).text(before + secret + after)


def test_secrets_are_known_from_the_environment() -> None:
    environ = {
        "OPENAI_API_KEY": "aaaaaa",
        "COMPANY_LLM": "bbbbbb",
        "APPORTION_DATABASE_URL": "postgresql://u:cc%40ccc@h/d",
        "APPORTION_KAFKA_OPTIONS": '{"sasl_plain_password": "dddddd", "client_id": "x"}',
        "HOME": "/root",
        "BROKEN": "{",
    }

    found = known_secrets(environ, key_variables=["COMPANY_LLM"])

    assert found == {"aaaaaa", "bbbbbb", "cc%40ccc", "cc@ccc", "dddddd"}


def test_a_value_too_short_to_be_a_secret_is_not_looked_for() -> None:
    assert Redactor(["", "a", "12345"]).text("a 12345") == "a 12345"


def test_every_field_is_redacted_however_deep() -> None:
    out = logged()

    structlog.get_logger().info(
        f"called {SECRET}",
        headers={"Authorization": "Bearer x", "api_key": "y", "accept": ["json", SECRET]},
        raw=SECRET.encode(),
        error=ValueError(f"bad {SECRET}"),
        tokens=17,
        key="job-17",
    )

    told = json.loads(out.getvalue())
    assert told["headers"] == {
        "Authorization": HIDDEN, "api_key": HIDDEN, "accept": ["json", HIDDEN],
    }  # fmt: skip
    assert (told["raw"], told["error"]) == (HIDDEN, f"bad {HIDDEN}")
    assert (told["tokens"], told["key"], told["level"]) == (17, "job-17", "info")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_is_redacted(as_json: bool) -> None:
    out = logged(as_json=as_json)

    try:
        raise ValueError(f"bad {SECRET}")
    except ValueError:
        structlog.get_logger().exception("failed")

    assert "ValueError" in out.getvalue()
    assert SECRET not in out.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_libraries_logs_go_the_same_way(as_json: bool) -> None:
    out = logged(as_json=as_json)

    try:
        raise ConnectionError(f"postgresql://u:{SECRET}@h/d")
    except ConnectionError:
        logging.getLogger("kafka").warning("cannot reach %s", SECRET, exc_info=True)

    assert "cannot reach" in out.getvalue()
    assert "ConnectionError" in out.getvalue()
    assert SECRET not in out.getvalue()
    if as_json:
        assert json.loads(out.getvalue())["logger"] == "kafka"


def test_a_connection_that_a_library_lost_is_told_without_a_traceback() -> None:
    out = logged()
    kafka = logging.getLogger("kafka.net.transport")

    for error in (ConnectionResetError(104, f"reset by {SECRET}"), ValueError("a defect")):
        try:
            raise error
        except (ConnectionResetError, ValueError):
            kafka.exception("Error receiving from %s", type(error).__name__)

    lost, defect = map(json.loads, out.getvalue().splitlines())
    assert "exception" not in lost
    assert lost["error"] == f"ConnectionResetError: [Errno 104] reset by {HIDDEN}"
    assert "Traceback" in defect["exception"]


def test_what_is_below_the_level_is_not_written() -> None:
    out = logged(level="WARNING")

    structlog.get_logger().info("quiet")
    logging.getLogger("kafka").info("quiet")

    assert out.getvalue() == ""


def test_what_is_bound_to_a_context_is_on_every_line() -> None:
    out = logged()

    with structlog.contextvars.bound_contextvars(parcel=17):
        structlog.get_logger().info("leased")
        logging.getLogger("kafka").warning("slow")

    assert [json.loads(line)["parcel"] for line in out.getvalue().splitlines()] == [17, 17]


def test_what_a_library_says_again_and_again_is_written_once_in_half_a_minute_with_its_number() -> (
    None
):
    now = [0.0]
    out = io.StringIO()
    configure(level="INFO", as_json=True, redactor=Redactor(), stream=out, clock=lambda: now[0])
    kafka, ours = logging.getLogger("kafka.net"), logging.getLogger("scheduler.planning")
    for port in range(40_000, 40_020):
        now[0] += 0.1
        kafka.error("<127.0.0.1:9092<-%d>: connection lost", port)
        ours.warning("planner waits")
    kafka.error("no node available")
    now[0] += REPEAT_S
    kafka.error("<127.0.0.1:9092<-40020>: connection lost")

    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["event"] for one in said if one["logger"] == "kafka.net"] == [
        "<127.0.0.1:9092<-40000>: connection lost",
        "no node available",
        "<127.0.0.1:9092<-40020>: connection lost",
    ]
    assert said[-1]["left_out"] == 19
    assert sum(one["event"] == "planner waits" for one in said) == 20
