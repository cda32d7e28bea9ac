"""A response is read the same however its bytes are cut, and nothing but a response is one."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.response import (
    ANSWER_BYTES_MAX,
    HEAD_BYTES_MAX,
    BadResponse,
    Incoming,
    Response,
)

BODY = b'{"a": 1}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'


def with_length(body: bytes, head: bytes = b"HTTP/1.1 200 OK", *headers: bytes) -> bytes:
    lines = [head, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def in_chunks(*chunks: bytes, trailers: bytes = b"") -> bytes:
    said = [b"%x;note=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b"")]
    said[-1] = b"0\r\n" + trailers + b"\r\n"
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(said)


def read(said: bytes) -> Response | None:
    return Incoming().feed(said)


def whole(said: bytes) -> Response:
    response = read(said)
    assert response is not None
    return response


@pytest.mark.parametrize(
    "said",
    [
        with_length(BODY),
        in_chunks(BODY[:5], BODY[5:]),
        in_chunks(BODY, trailers=b"X-Checksum: 1\r\n"),
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + with_length(BODY),
        with_length(gzip.compress(BODY), b"HTTP/1.1 200 OK", b"Content-Encoding: gzip"),
        with_length(zlib.compress(BODY), b"HTTP/1.1 200 OK", b"content-encoding: Deflate"),
    ],
)
@given(data=st.data())
def test_a_response_is_the_same_however_it_is_cut(said: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=6)))
    incoming = Incoming()

    parts = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    responses = [response for part in parts if part and (response := incoming.feed(part))]

    [response] = responses
    assert (response.status, response.body, response.keeps) == (200, BODY, True)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_response_or_bad(said: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", in_chunks(b"x")[:50]):
        try:
            response = read(start + said)
        except BadResponse:
            continue
        assert response is None or response.status >= 200


def test_headers_are_found_by_small_letters_and_joined() -> None:
    response = whole(with_length(b"", b"HTTP/1.1 429 ", b"Retry-After:  7\t", b"X: 1", b"x: 2"))

    assert response.status == 429
    assert response.headers == {"content-length": "0", "retry-after": "7", "x": "1, 2"}


def test_a_response_without_a_length_ends_with_its_connection() -> None:
    incoming = Incoming()

    assert incoming.feed(b"HTTP/1.1 200 OK\r\n\r\n" + BODY) is None

    response = incoming.end()
    assert response is not None
    assert (response.body, response.keeps) == (BODY, False)


@pytest.mark.parametrize("said", [with_length(BODY), in_chunks(BODY)])
def test_a_response_that_was_cut_off_is_none(said: bytes) -> None:
    incoming = Incoming()

    assert incoming.feed(said[:-1]) is None
    assert incoming.end() is None


@pytest.mark.parametrize(
    "said",
    [
        with_length(BODY, b"HTTP/1.0 200 OK"),
        with_length(BODY, b"HTTP/1.1 200 OK", b"Connection: Close"),
        with_length(BODY) + b"HTTP/1.1 200 OK\r\n",
        in_chunks(BODY).replace(b"Transfer-", b"Content-Length: 9\r\nTransfer-"),
    ],
    ids=["of old", "closes", "more comes", "two lengths"],
)
def test_nothing_more_is_sent_where_the_end_is_not_sure(said: bytes) -> None:
    response = whole(said)

    assert response.body == BODY
    assert not response.keeps


@pytest.mark.parametrize("status", [204, 304])
def test_some_responses_have_no_body(status: int) -> None:
    assert whole(b"HTTP/1.1 %d x\r\nContent-Length: 9\r\n\r\n" % status).body == b""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"SSH-2.0\r\n\r\n", "does not speak HTTP/1.1"),
        (b"HTTP/2 200\r\n\r\n", "does not speak HTTP/1.1"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n folded: 2\r\n\r\n", "header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nabcde", "no number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "comes as gzip"),
        (in_chunks(b"x").replace(b"1;", b"+1;"), "chunks"),
        (in_chunks(b"xyz").replace(b"3;", b"2;"), "chunks"),
        (with_length(b"x", b"HTTP/1.1 200 OK", b"Content-Encoding: br"), "compressed by br"),
        (with_length(b"x", b"HTTP/1.1 200 OK", b"Content-Encoding: gzip"), "decompressed"),
        (
            with_length(gzip.compress(BODY)[:-4], b"HTTP/1.1 200 OK", b"Content-Encoding: gzip"),
            "decompressed",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES_MAX, "head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000, "head"),
    ],
)
def test_what_cannot_be_read_is_bad(said: bytes, reason: str) -> None:
    with pytest.raises(BadResponse, match=reason):
        read(said)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (ANSWER_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(ANSWER_BYTES_MAX + HEAD_BYTES_MAX),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * (ANSWER_BYTES_MAX // 5),
        with_length(
            gzip.compress(bytes(ANSWER_BYTES_MAX + 1)),
            b"HTTP/1.1 200 OK",
            b"Content-Encoding: gzip",
        ),
    ],
    ids=["announced", "endless", "in small chunks", "compressed"],
)
def test_no_answer_fills_the_memory(said: bytes) -> None:
    with pytest.raises(BadResponse, match="longer than") as caught:
        read(said)

    assert caught.value.status == 200


def test_no_more_is_decompressed_than_is_read() -> None:
    bomb = gzip.compress(bytes(8 * ANSWER_BYTES_MAX), compresslevel=1)
    said = with_length(bomb, b"HTTP/1.1 200 OK", b"Content-Encoding: gzip")
    tracemalloc.start()
    try:
        with pytest.raises(BadResponse, match="longer than"):
            read(said)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 4 * ANSWER_BYTES_MAX
