"""Connections to providers: made when they are needed, and kept for the next call.

No general HTTP client is used for it: a call needs little of one, and all that it does besides
(cookies, redirects, hooks) took two fifths of what a worker does for a job.
"""

import asyncio
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, cast

from aiohappyeyeballs import AddrInfoType, start_connection

from workers.providers.response import BadResponse, Incoming, Response

# Many servers (uvicorn, so vLLM too) drop a connection that was idle for 5 s.  One that is sent
# to just then fails without a word, and its outcome would be unknown though nothing happened.
KEEP_ALIVE_S = 4.0
ADDRESSES_S = 60.0
"""How long the addresses of a host's name are believed."""
NEXT_ADDRESS_S = 0.25
"""After how long the next address is tried beside the one that has not answered (RFC 8305)."""


class Origin(NamedTuple):
    """Whom a connection is to."""

    host: str
    port: int
    is_secure: bool


class NotConnected(Exception):
    """No connection could be made, so nothing was sent."""


class ConnectionLost(Exception):
    """A connection ended before its answer was complete."""


class _Line(asyncio.Protocol):
    """One connection, with one request under way at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.lost: asyncio.Future[None] = loop.create_future()
        self.idle_since_s = 0.0
        self._is_free = True
        self._loop = loop
        self._incoming = Incoming()
        self._answer: asyncio.Future[Response] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._is_free and not self._transport.is_closing()

    async def exchange(self, request: bytes, *, timeout_s: float) -> Response:
        """What comes back for *request*.

        Raises:
            BadResponse, ConnectionLost, TimeoutError.
        """
        self._is_free = False
        self._incoming = Incoming()
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._answer = answer
        timer = self._loop.call_later(timeout_s, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            response = await answer
        finally:
            timer.cancel()
            self._answer = None
        # An answer that comes before the question was sent is of one that will not hear it out.
        self._is_free = response.keeps and not self._transport.get_write_buffer_size()
        return response

    def abort(self) -> None:
        self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No `isinstance`: uvloop's transports are none by their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.done():
            # Nobody asked.
            self._is_free = False
            self._transport.abort()
            return
        try:
            response = self._incoming.feed(data)
        except BadResponse as error:
            answer.set_exception(error)
        else:
            if response is not None:
                answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_free = False
        self.lost.set_result(None)
        answer = self._answer
        if answer is None or answer.done():
            return
        try:
            response = self._incoming.end() if exc is None else None
        except BadResponse as error:
            answer.set_exception(error)
            return
        if response is None:
            answer.set_exception(ConnectionLost(type(exc).__name__ if exc else "it was closed"))
        else:
            answer.set_result(response)


class Client:
    """The connections of one process, at most *concurrency* in use; lives on one event loop."""

    def __init__(self, *, concurrency: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(concurrency)
        self._lines: set[_Line] = set()
        # Those that wait for a request; the one that was used last is taken first.
        self._idle: dict[Origin, deque[_Line]] = defaultdict(deque)
        self._sweeping: asyncio.TimerHandle | None = None
        self._known: dict[Origin, tuple[float, Sequence[AddrInfoType]]] = {}
        self._trust: ssl.SSLContext | None = None

    async def exchange(
        self, origin: Origin, request: bytes, *, connect_s: float, timeout_s: float
    ) -> Response:
        """What *origin* answers to *request*, the bytes of a whole one, within *timeout_s*.

        Waiting for a place among the connections in use, and making one, takes *connect_s*.

        Raises:
            NotConnected: nothing was sent.
            BadResponse, ConnectionLost, TimeoutError: it was, and no answer can be read.
        """
        ends_at_s = self._loop.time() + timeout_s
        line = await self._take(origin, connect_s)
        try:
            return await line.exchange(request, timeout_s=ends_at_s - self._loop.time())
        finally:
            self._put_back(origin, line)

    async def close(self) -> None:
        """End all connections, and wait until they are."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        lost = [line.lost for line in self._lines]
        for line in self._lines:
            line.abort()
        await asyncio.gather(*lost)

    async def _take(self, origin: Origin, connect_s: float) -> _Line:
        # Most of the time there is one, and no clock needs to be wound for it.
        if not self._room.locked() and (line := self._idle_line(origin)) is not None:
            await self._room.acquire()
            return line
        try:
            async with asyncio.timeout(connect_s):
                await self._room.acquire()
                try:
                    return self._idle_line(origin) or await self._connect(origin)
                except BaseException:
                    self._room.release()
                    raise
        except (OSError, UnicodeError) as error:
            raise NotConnected(type(error).__name__) from None

    def _idle_line(self, origin: Origin) -> _Line | None:
        idle, oldest_s = self._idle[origin], self._loop.time() - KEEP_ALIVE_S
        while idle:
            line = idle.pop()
            if line.is_usable and line.idle_since_s > oldest_s:
                return line
            line.abort()
        return None

    def _put_back(self, origin: Origin, line: _Line) -> None:
        self._room.release()
        if not line.is_usable:
            line.abort()
            return
        line.idle_since_s = self._loop.time()
        self._idle[origin].append(line)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(KEEP_ALIVE_S, self._sweep)

    def _sweep(self) -> None:
        """Close the connections that were not needed for a while."""
        oldest_s = self._loop.time() - KEEP_ALIVE_S
        for idle in self._idle.values():
            while idle and idle[0].idle_since_s <= oldest_s:
                idle.popleft().abort()
        is_idle = any(self._idle.values())
        self._sweeping = self._loop.call_later(KEEP_ALIVE_S, self._sweep) if is_idle else None

    # Making one.

    async def _connect(self, origin: Origin) -> _Line:
        addresses = await self._addresses(origin)
        try:
            found = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S)
        except OSError:
            # They may have been of a server that has moved.
            self._known.pop(origin, None)
            raise
        try:
            _, line = await self._loop.create_connection(
                lambda: _Line(self._loop),
                sock=found,
                ssl=self._trusting() if origin.is_secure else None,
                server_hostname=origin.host if origin.is_secure else None,
            )
        except BaseException:
            found.close()
            raise
        self._lines.add(line)
        line.lost.add_done_callback(lambda _: self._lines.discard(line))
        return line

    async def _addresses(self, origin: Origin) -> Sequence[AddrInfoType]:
        until_s, addresses = self._known.get(origin, (0.0, ()))
        if not addresses or self._loop.time() > until_s:
            addresses = await self._loop.getaddrinfo(
                origin.host, origin.port, type=socket.SOCK_STREAM
            )
            self._known[origin] = self._loop.time() + ADDRESSES_S, addresses
        return addresses

    def _trusting(self) -> ssl.SSLContext:
        """What says whose certificates are believed: those that the system trusts."""
        if self._trust is None:
            self._trust = ssl.create_default_context()
            self._trust.set_alpn_protocols(["http/1.1"])
        return self._trust


@asynccontextmanager
async def open_client(*, concurrency: int) -> AsyncIterator[Client]:
    """The connections that all adapters of a process share."""
    client = Client(concurrency=concurrency)
    try:
        yield client
    finally:
        await client.close()
