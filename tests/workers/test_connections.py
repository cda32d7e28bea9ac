"""Connections are kept while they are good, and never for longer; a test's server counts them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workers import loop
from workers.providers import connections
from workers.providers.connections import Client, ConnectionLost, NotConnected, Origin, open_client

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"

Behaviour = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def polite(
    server: "Server", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answers every request."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        server.heard += 1
        writer.write(OK)


class Server:
    """Counts the connections that were made to it, and the requests that it heard."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.made = self.heard = 0
        self.gone = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.origin = Origin("127.0.0.1", 0, is_secure=False)
        self._behaviour = behaviour

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        try:
            await self._behaviour(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    behaviour: Behaviour = polite, *, concurrency: int = 2, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Server, Client]]:
    server = Server(behaviour)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.origin = Origin("127.0.0.1", port, is_secure=tls is not None)
    async with listening, open_client(concurrency=concurrency) as client:
        yield server, client


async def ask(server: Server, client: Client, *, timeout_s: float = 5.0) -> bytes:
    response = await client.exchange(server.origin, REQUEST, connect_s=0.2, timeout_s=timeout_s)
    return response.body


def test_a_connection_is_used_again() -> None:
    async def run() -> tuple[int, int]:
        async with serving() as (server, client):
            for _ in range(3):
                assert await ask(server, client) == b"ok"
            return server.made, server.heard

    assert loop.run(run()) == (1, 3)


def test_a_connection_is_used_again_on_the_standard_loop() -> None:
    async def run() -> int:
        async with serving() as (server, client):
            for _ in range(3):
                assert await ask(server, client) == b"ok"
            return server.made

    assert asyncio.run(run()) == 1


def test_one_that_was_idle_for_long_is_not_used_but_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.02)

    async def run() -> int:
        async with serving() as (server, client):
            await ask(server, client)
            async with asyncio.timeout(2):
                await server.gone.wait()
            await ask(server, client)
            return server.made

    assert loop.run(run()) == 2


def test_one_that_was_idle_for_long_is_not_used_even_if_it_is_still_open() -> None:
    async def run() -> int:
        async with serving() as (server, client):
            await ask(server, client)
            for line in client._lines:
                line.idle_since_s -= 2 * connections.KEEP_ALIVE_S
            await ask(server, client)
            return server.made

    assert loop.run(run()) == 2


def test_one_that_the_server_closed_is_not_used() -> None:
    async def once(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        server.gone.set()

    async def run() -> int:
        async with serving(once) as (server, client):
            for _ in range(2):
                server.gone.clear()
                assert await ask(server, client) == b"ok"
                await server.gone.wait()
                # Until the end of it has come here as well.
                await asyncio.wait([line.lost for line in client._lines], timeout=2)
            return server.made

    assert loop.run(run()) == 2


def test_one_on_which_more_came_than_was_asked_for_is_not_used() -> None:
    async def talkative(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + OK)
        await reader.read()

    async def run() -> int:
        async with serving(talkative) as (server, client):
            await ask(server, client)
            await ask(server, client)
            return server.made

    assert loop.run(run()) == 2


def test_an_answer_nobody_waits_for_any_more_is_not_the_next_ones() -> None:
    async def late(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.heard += 1
        if server.heard == 1:
            await server.may_answer.wait()
            writer.write(OK.replace(b"ok", b"no"))
        writer.write(OK)
        await reader.read()

    async def run() -> bytes:
        async with serving(late) as (server, client):
            with pytest.raises(TimeoutError):
                await ask(server, client, timeout_s=0.05)
            server.may_answer.set()
            return await ask(server, client)

    assert loop.run(run()) == b"ok"


def test_who_is_cancelled_leaves_his_place_and_no_connection() -> None:
    async def silent(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.heard += 1
        if server.heard == 1:
            server.may_answer.set()
            await reader.readexactly(1)
        writer.write(OK)

    async def run() -> tuple[bytes, int]:
        async with serving(silent, concurrency=1) as (server, client):
            task = asyncio.create_task(ask(server, client))
            await server.may_answer.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(2):
                await server.gone.wait()
            return await ask(server, client), server.made

    assert loop.run(run()) == (b"ok", 2)


def test_an_answer_before_the_question_was_sent_is_the_last_on_its_connection() -> None:
    async def hasty(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(1)
        writer.write(OK)
        await server.may_answer.wait()

    async def run() -> int:
        async with serving(hasty) as (server, client):
            for _ in range(2):
                await client.exchange(server.origin, bytes(1 << 26), connect_s=1.0, timeout_s=5.0)
            server.may_answer.set()
            return server.made

    assert loop.run(run()) == 2


def test_who_finds_no_place_in_time_has_sent_nothing() -> None:
    async def silent(server: Server, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.heard += 1
        server.may_answer.set()
        await reader.read()

    async def run() -> int:
        async with serving(silent, concurrency=1) as (server, client):
            first = asyncio.create_task(ask(server, client))
            await server.may_answer.wait()
            with pytest.raises(NotConnected):
                await ask(server, client)
            first.cancel()
            return server.heard

    assert loop.run(run()) == 1


def test_who_waits_has_the_place_that_becomes_free() -> None:
    async def run() -> tuple[list[bytes], int]:
        async with serving(concurrency=1) as (server, client):
            answers = await asyncio.gather(*(ask(server, client) for _ in range(5)))
            return answers, server.made

    assert loop.run(run()) == ([b"ok"] * 5, 1)


def test_who_cannot_connect_leaves_his_place() -> None:
    async def run() -> bytes:
        async with serving(concurrency=1) as (server, client):
            for _ in range(2):
                with pytest.raises(NotConnected, match="Refused"):
                    await client.exchange(
                        # Nothing can listen there without being root, and nothing does.
                        Origin("127.0.0.1", 1, is_secure=False),
                        REQUEST,
                        connect_s=2.0,
                        timeout_s=2.0,
                    )
            return await ask(server, client)

    assert loop.run(run()) == b"ok"


def test_a_connection_that_breaks_says_so() -> None:
    async def rude(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])

    async def run() -> None:
        async with serving(rude) as (server, client):
            await ask(server, client)

    with pytest.raises(ConnectionLost):
        loop.run(run())


def test_a_name_that_is_no_hosts_is_not_connected_to() -> None:
    async def run(host: str) -> None:
        async with open_client(concurrency=1) as client:
            await client.exchange(Origin(host, 80, False), REQUEST, connect_s=2.0, timeout_s=2.0)

    for host in ("no-such-host.invalid", "a" * 70):
        with pytest.raises(NotConnected):
            loop.run(run(host))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key, and a certificate for 127.0.0.1 that nobody trusts."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tester")]),
    )
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def secure(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_nothing_is_sent_to_a_server_that_cannot_show_who_it_is(certificate: Path) -> None:
    async def run() -> int:
        async with serving(tls=secure(certificate)) as (server, client):
            with pytest.raises(NotConnected, match="SSLCertVerificationError"):
                await client.exchange(server.origin, REQUEST, connect_s=5.0, timeout_s=5.0)
            return server.heard

    assert loop.run(run()) == 0


def test_a_server_that_is_trusted_is_spoken_to_in_secret(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def run() -> tuple[bytes, int]:
        async with serving(tls=secure(certificate)) as (server, client):
            for _ in range(3):
                answer = await client.exchange(server.origin, REQUEST, connect_s=5.0, timeout_s=5.0)
            return answer.body, server.made

    assert loop.run(run()) == (b"ok", 1)
