"""One HTTP/1.1 response, put together from its bytes as they come (RFC 9112)."""

import re
import zlib
from typing import NamedTuple

ANSWER_BYTES_MAX = 8 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024

_HEAD_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_SWITCHING = 101
_WITHOUT_BODY = (204, 304)
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class BadResponse(Exception):
    """What came is no response that can be read; *status* is its own, where it got so far."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Response(NamedTuple):
    """What a server answered.

    Attributes:
        headers: by their names in small letters; those with one name are one, with commas.
        keeps: whether the connection may be used again.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    keeps: bool


class _Head(NamedTuple):
    """What a body is read by; *length* None is all that comes until the connection ends."""

    status: int
    headers: dict[str, str]
    keeps: bool
    is_chunked: bool
    length: int | None


class Incoming:
    """The response to one request: `feed` it what comes, until it gives that."""

    def __init__(self) -> None:
        # Nothing is cut off in front, which would move all the rest: it is read up to *_at*.
        self._seen = bytearray()
        self._at = 0
        self._head: _Head | None = None
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> Response | None:
        """The response, once *data* completes it.

        Raises:
            BadResponse: it is none, or longer than `ANSWER_BYTES_MAX`.
        """
        self._seen += data
        while self._head is None:
            if not self._read_head():
                return None
        head, length = self._head, self._head.length
        # All that came counts, so that no form of it can fill the memory.
        if max(len(self._seen) - HEAD_BYTES_MAX, length or 0) > ANSWER_BYTES_MAX:
            raise _too_long(head)
        if head.is_chunked:
            return self._read_chunks(head)
        if length is None or len(self._seen) - self._at < length:
            return None
        return self._whole(head, bytes(self._seen[self._at : self._at + length]))

    def end(self) -> Response | None:
        """The response, if it is complete now that the connection has ended."""
        head = self._head
        if head is None or head.is_chunked or head.length is not None:
            return None
        return self._whole(head, bytes(self._seen[self._at :]))

    def _read_head(self) -> bool:
        """Whether a head was there; one that only announces another is passed by."""
        end = self._seen.find(_HEAD_END, self._at)
        if (end if end >= 0 else len(self._seen)) > HEAD_BYTES_MAX:
            raise BadResponse(f"the head of its answer is longer than {HEAD_BYTES_MAX} bytes")
        if end < 0:
            return False
        head = _parsed(self._seen[self._at : end].decode("latin-1"))
        self._at = end + len(_HEAD_END)
        if head.status >= 200:
            self._head = head
        return True

    def _read_chunks(self, head: _Head) -> Response | None:
        while (end := self._seen.find(b"\r\n", self._at)) >= 0:
            line = _CHUNK_LINE.fullmatch(self._seen, self._at, end)
            if line is None:
                raise BadResponse("its answer is not in chunks as it says", status=head.status)
            size = int(line[1], 16)
            if not size:
                return self._read_trailers(head, end)
            start, over = end + 2, end + 2 + size
            if len(self._seen) < over + 2:
                return None
            if self._seen[over : over + 2] != b"\r\n":
                raise BadResponse("its answer is not in chunks as it says", status=head.status)
            self._chunks.append(bytes(self._seen[start:over]))
            self._at = over + 2
        return None

    def _read_trailers(self, head: _Head, last: int) -> Response | None:
        """The response, once all that may follow the last chunk's line, which ends at *last*."""
        end = self._seen.find(_HEAD_END, last)
        if end < 0:
            return None
        self._at = end + len(_HEAD_END)
        return self._whole(head, b"".join(self._chunks))

    def _whole(self, head: _Head, body: bytes) -> Response:
        # What comes behind a response was not asked for, and is nobody's answer.
        over = self._at + (head.length or 0)
        keeps = head.keeps and len(self._seen) == over
        return Response(head.status, head.headers, _plain(body, head), keeps)


def _too_long(head: _Head) -> BadResponse:
    return BadResponse(f"its answer is longer than {ANSWER_BYTES_MAX} bytes", status=head.status)


def _parsed(text: str) -> _Head:
    first, *lines = text.split("\r\n")
    said = _STATUS_LINE.fullmatch(first)
    if said is None:
        raise BadResponse("it does not speak HTTP/1.1")
    status = int(said[2])
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise BadResponse("a header of its answer is none", status=status)
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    is_lasting = said[1] == "1" and "close" not in headers.get("connection", "").lower()
    return _framed(status, headers, is_lasting=is_lasting)


def _framed(status: int, headers: dict[str, str], *, is_lasting: bool) -> _Head:
    """How long the response is (RFC 9112, 6.3)."""
    coded, length = headers.get("transfer-encoding"), headers.get("content-length")
    if status == _SWITCHING:
        raise BadResponse("it speaks another protocol from here on", status=status)
    if status < 200 or status in _WITHOUT_BODY:
        return _Head(status, headers, is_lasting, is_chunked=False, length=0)
    if coded is not None:
        if coded.lower() != "chunked":
            raise BadResponse(f"its answer comes as {coded[:40]}", status=status)
        # Where a length is given besides, one of the two is wrong.
        keeps = is_lasting and length is None
        return _Head(status, headers, keeps, is_chunked=True, length=None)
    if length is None:
        return _Head(status, headers, keeps=False, is_chunked=False, length=None)
    if not _LENGTH.fullmatch(length):
        raise BadResponse("the length of its answer is no number", status=status)
    return _Head(status, headers, is_lasting, is_chunked=False, length=int(length))


def _plain(body: bytes, head: _Head) -> bytes:
    """*body* as it was before it was compressed; nobody asked for that, and some do it."""
    coded = head.headers.get("content-encoding", "identity").lower()
    if coded == "identity" or not body:
        return body
    if coded not in ("gzip", "x-gzip", "deflate"):
        raise BadResponse(f"its answer is compressed by {coded[:40]}", status=head.status)
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = inflater.decompress(body, ANSWER_BYTES_MAX + 1)
    except zlib.error:
        raise BadResponse("its answer cannot be decompressed", status=head.status) from None
    if len(plain) > ANSWER_BYTES_MAX:
        raise _too_long(head)
    if not inflater.eof:
        raise BadResponse("its answer cannot be decompressed", status=head.status)
    return plain
