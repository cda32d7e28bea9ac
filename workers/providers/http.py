"""One HTTP call to a provider: sent once, read up to a limit, and its failures told apart."""

import base64
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import orjson
from yarl import URL

from scheduler.domain.listing import ProviderAccess
from workers.calls import KeyRejected, ModelMissing, OutcomeUnknown, ProviderDown
from workers.providers.connections import Client, ConnectionLost, NotConnected, Origin
from workers.providers.response import BadResponse

CONNECT_S = 10.0
_LINE_END = re.compile(r"[\r\n\0]")


class Reply(NamedTuple):
    """What came back, whatever its status.

    Attributes:
        headers: by their names in small letters.
        seconds: from sending to the last byte.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class _Target(NamedTuple):
    """An address as it is called: *head* is the beginning of every request to it."""

    origin: Origin
    head: bytes


class Wire:
    """Sends one offer's calls."""

    def __init__(
        self, access: ProviderAccess, client: Client, *, headers: Mapping[str, str]
    ) -> None:
        self._provider = access.name
        self._client = client
        self._headers = {"Content-Type": "application/json", **headers, **access.headers}
        self._query = access.query
        self._timeout_s = access.timeout_s
        self._targets: dict[str, _Target] = {}

    async def post(
        self, address: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """POST *body* to *address*.  A redirect is an answer: nobody has allowed the other address.

        Raises:
            ProviderDown: no connection could be made, so nothing was sent.
            OutcomeUnknown: it was sent, and no whole answer came.
            ModelMissing, KeyRejected: the address, or a header, cannot be.
        """
        target = self._targets.get(address)
        if target is None:
            target = self._targets[address] = self._target(address)
        own = _spelled({**(headers or {}), "Content-Length": str(len(body))})
        started = time.perf_counter()
        try:
            response = await self._client.exchange(
                target.origin,
                b"%b%b\r\n%b" % (target.head, own, body),
                connect_s=min(CONNECT_S, self._timeout_s),
                timeout_s=self._timeout_s,
            )
        except NotConnected as error:
            raise ProviderDown(provider=self._provider, reason=f"no connection ({error})") from None
        except TimeoutError:
            raise self._unknown(f"nothing within {self._timeout_s:g} s") from None
        except ConnectionLost as error:
            raise self._unknown(f"the connection broke ({error})") from None
        except BadResponse as error:
            raise self._unknown(str(error), status=error.status) from None
        seconds = time.perf_counter() - started
        return Reply(response.status, response.headers, response.body, seconds)

    def _unknown(self, reason: str, *, status: int | None = None) -> OutcomeUnknown:
        return OutcomeUnknown(provider=self._provider, reason=reason, status=status)

    def _target(self, address: str) -> _Target:
        try:
            url = URL(address).update_query(self._query)
            host, port = url.raw_host, url.port
        except ValueError:
            host = port = None
        if not host or not port or url.scheme not in ("http", "https"):
            raise ModelMissing(provider=self._provider, reason="its address is not an HTTP URL")
        first = f"POST {url.raw_path_qs} HTTP/1.1\r\n".encode()
        try:
            head = first + _spelled(_over(_usual(url), self._headers))
        except ValueError as error:
            raise KeyRejected(provider=self._provider, reason=str(error)) from None
        return _Target(Origin(host, port, url.scheme == "https"), head)


def _usual(url: URL) -> dict[str, str]:
    usual = {
        "Host": url.host_port_subcomponent or "",
        "User-Agent": "apportion",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    if url.user is not None:
        named = f"{url.user}:{url.password or ''}".encode()
        usual["Authorization"] = f"Basic {base64.b64encode(named).decode()}"
    return usual


def _over(usual: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    """*usual* headers with what is *said* in place of them; case makes no other name."""
    named = {name.lower(): (name, value) for name, value in (*usual.items(), *said.items())}
    return dict(named.values())


def _spelled(headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    # It would end its header, and begin another.
    if any(map(_LINE_END.search, lines)):
        raise ValueError("it, or another header, holds the end of a line")
    return "".join([f"{line}\r\n" for line in lines]).encode()


def encoded(body: dict[str, Any]) -> bytes:
    """*body* as JSON."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        # A job's schema may hold an integer beyond 64 bits, which orjson does not write.
        return json.dumps(body).encode()


def merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """*body* with the catalog's *extra* fields; objects that both have are merged."""
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
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
