"""One HTTP call to a provider: sent once, read up to a limit, and its failures told apart."""

import asyncio
import io
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import aiohttp
import orjson
from aiohttp.payload import BytesPayload
from multidict import CIMultiDict, istr
from yarl import URL

from scheduler.domain.listing import ProviderAccess
from scheduler.interpreter import Leftovers
from workers.calls import KeyRejected, ModelMissing, OutcomeUnknown, ProviderDown
from workers.providers.deadline import Deadline

ANSWER_BYTES_MAX = 8 * 1024 * 1024
CONNECT_S = 10.0
# Many servers (uvicorn, so vLLM too) drop a connection that was idle for 5 s.  One that is sent
# to just then fails without a word, and its outcome would be unknown though nothing happened.
KEEP_ALIVE_S = 4.0
_ALWAYS = {"Content-Type": "application/json"}
_LARGE_BYTES = 1024 * 1024
_LEFT = Leftovers()
_LINE_END = re.compile(r"[\r\n\0]")


def open_client(*, concurrency: int) -> aiohttp.ClientSession:
    """The pool of connections that all adapters of a process share.

    Call it in a running event loop, and close it there.  *concurrency* is the most calls in
    flight; a caller that goes beyond it waits for a connection, and fails after `CONNECT_S`.
    """
    connector = aiohttp.TCPConnector(
        limit=concurrency, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60
    )
    return aiohttp.ClientSession(
        connector=connector,
        # Cookies would tie one tenant's calls to another's.
        cookie_jar=aiohttp.DummyCookieJar(),
        raise_for_status=False,
        headers={"User-Agent": "apportion"},
    )


class Reply(NamedTuple):
    """What came back, whatever its status.  `seconds` is from sending to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def is_success(self) -> bool:
        """Whether the provider did it; a gateway may say 201 or 203 for that."""
        return 200 <= self.status < 300


class Wire:
    """Sends one offer's calls."""

    def __init__(
        self, access: ProviderAccess, client: aiohttp.ClientSession, *, headers: Mapping[str, str]
    ) -> None:
        self._provider = access.name
        self._client = client
        # Case makes no other name: the catalog's take the place of ours.
        self._headers: CIMultiDict[str] = CIMultiDict()
        for some in (_ALWAYS, headers, access.headers):
            # Made once: aiohttp would make names like these of every string, for every call.
            self._headers.update({istr(name): value for name, value in some.items()})
        self._is_sendable = not any(map(_LINE_END.search, self._headers.values()))
        self._query = access.query
        self._proxy = URL(access.proxy) if access.proxy else None
        self._deadline = Deadline(access.timeout_s)
        self._connecting = aiohttp.ClientTimeout(connect=min(CONNECT_S, access.timeout_s))
        self._urls: dict[str, URL] = {}

    async def post(
        self, address: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """POST *body* to *address*.

        Raises:
            ProviderDown: no connection could be made, so nothing was sent.
            OutcomeUnknown: it was sent, and no whole answer came.
            ModelMissing, KeyRejected: the address, or a header, cannot be.
        """
        if not self._is_sendable:
            # It would end its header, and begin another.
            raise KeyRejected(
                provider=self._provider, reason="it, or another header, holds the end of a line"
            )
        task = self._deadline.begin()
        try:
            return await self._exchange(address, body, headers)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise self._no_address() from None
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            # The proxy would not connect us.
            aiohttp.ClientHttpProxyError,
        ) as error:
            raise ProviderDown(
                provider=self._provider, reason=f"no connection ({type(error).__name__})"
            ) from None
        except asyncio.CancelledError:
            if not self._deadline.passed(task):
                raise
            raise OutcomeUnknown(
                provider=self._provider, reason=f"nothing within {self._deadline.limit_s:g} s"
            ) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OutcomeUnknown(
                provider=self._provider, reason=f"the connection broke ({type(error).__name__})"
            ) from None
        finally:
            self._deadline.end(task)

    async def _exchange(
        self, address: str, body: bytes, headers: Mapping[str, str] | None
    ) -> Reply:
        started = time.perf_counter()
        try:
            response = await self._client.post(
                self._url(address),
                # aiohttp writes a large `bytes` in one go, with a warning; a file in pieces.
                data=BytesPayload(body) if len(body) < _LARGE_BYTES else io.BytesIO(body),
                headers=self._with(headers) if headers else self._headers,
                timeout=self._connecting,
                proxy=self._proxy,
                # A redirect would take the document to an address that nobody has allowed.
                allow_redirects=False,
            )
            try:
                answer = await self._read(response)
            finally:
                # What was not read to its end takes the connection with it.
                response.release()
        except aiohttp.ClientError:
            # Steps of aiohttp's hold the error that holds them, and the document.
            _LEFT.add(len(body))
            raise
        return Reply(
            status=response.status,
            headers=response.headers,
            body=answer,
            seconds=time.perf_counter() - started,
        )

    def _with(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        both = self._headers.copy()
        both.update(headers)
        return both

    def _url(self, address: str) -> URL:
        url = self._urls.get(address)
        if url is None:
            try:
                url = self._urls[address] = URL(address).update_query(self._query)
            except ValueError:
                raise self._no_address() from None
        return url

    def _no_address(self) -> ModelMissing:
        return ModelMissing(provider=self._provider, reason="its address is not an HTTP URL")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        pieces = []
        size = 0
        content = response.content
        # In pieces, so that a compressed or endless body cannot fill the memory.
        while not content.at_eof():
            piece = await content.readany()
            pieces.append(piece)
            size += len(piece)
            if size > ANSWER_BYTES_MAX:
                response.close()
                raise OutcomeUnknown(
                    provider=self._provider,
                    reason=f"its answer is longer than {ANSWER_BYTES_MAX} bytes",
                    status=response.status,
                )
        if (error := content.exception()) is not None:
            raise error
        return b"".join(pieces)


def key_header(access: ProviderAccess, *, own: str) -> dict[str, str]:
    """The header that carries *access*'s key: the protocol's *own*, or the catalog's."""
    if not access.api_key:
        return {}
    name = access.key_header or own
    # This one names how it is to be read before it says the key.
    scheme = "Bearer " if name.lower() == "authorization" else ""
    return {name: f"{scheme}{access.api_key}"}


def encoded(body: dict[str, Any]) -> bytes:
    """*body* as JSON."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        # A job's schema may hold an integer beyond 64 bits, which orjson does not write.
        return json.dumps(body).encode()


def merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """*body* with the catalog's *extra* fields; objects that both have are merged."""
    if not extra:
        return body
    both = dict(body)
    for name, value in extra.items():
        known = both.get(name)
        if isinstance(known, dict) and isinstance(value, Mapping):
            both[name] = merged(known, value)
        else:
            both[name] = value
    return both


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait: `retry-after-ms`, or Retry-After in either form.

    A date is held against the answer's own Date, so that clocks that differ do no harm.
    """
    said = headers.get("retry-after", "").strip()
    for figure, unit_s in ((headers.get("retry-after-ms", ""), 0.001), (said, 1.0)):
        try:
            wait_s = float(figure) * unit_s
        except ValueError:
            continue
        # Not a number, or endless: as if nothing had been said.
        return wait_s if 0 <= wait_s < float("inf") else None
    until = _date(said)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max((until - now).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
