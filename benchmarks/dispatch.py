"""How many calls a second one worker process makes, settled in the ledger; beside bare aiohttp.

    python benchmarks/dispatch.py [--jobs 20000] [--bytes 1000] [--rounds 3] [--litellm]

A stub answers every call at once, in a process of its own.  Each round measures bare aiohttp (the
same requests, and nothing else) on the standard event loop, the same on a worker's loop, and then
a worker (parcels leased, every call noted before it is made, results, ledger, evidence and outbox
written to a durable Postgres).  `share_of_bare` is of the first.  With `--litellm` its
Router makes the same requests from a virtual environment of its own, installed for it; without,
it is not measured.  One JSON line; figures are the medians of the rounds.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from sqlalchemy import Engine, text

from scheduler.domain.listing import Listing
from scheduler.domain.policy import Policy, WorkPolicy
from scheduler.store import embedded
from scheduler.store.connect import open_engine
from scheduler.store.migrate import upgrade
from tests.workers.audit import assert_books_are_right
from tests.workers.planned import add_budget, listing, plan, wishes
from workers import loop
from workers.desk import Place
from workers.process import running

STUB = """
import asyncio, json

ANSWER = json.dumps({
    "id": "req-1", "model": "m",
    "choices": [{"message": {"content": "A short summary of it. " * 20}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 100},
}).encode()
REPLY = (
    b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: "
    + str(len(ANSWER)).encode() + b"\\r\\n\\r\\n" + ANSWER
)

class Stub(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.seen = transport, b""

    def data_received(self, data):
        self.seen += data
        while True:
            head, mark, rest = self.seen.partition(b"\\r\\n\\r\\n")
            if not mark:
                return
            length = int(head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0])
            if len(rest) < length:
                return
            self.seen = rest[length:]
            self.transport.write(REPLY)

async def main():
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""

ROUTER = """
import asyncio, json, sys, time
from litellm import Router
import litellm

url, count, prompt, concurrency = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
litellm.suppress_debug_info = True
router = Router(model_list=[{
    "model_name": "m",
    "litellm_params": {"model": "openai/m", "api_base": url, "api_key": "none"},
}])

async def main():
    gate = asyncio.Semaphore(concurrency)
    async def one():
        async with gate:
            await router.acompletion(model="m", messages=[{"role": "user", "content": prompt}])
    await asyncio.gather(*(one() for _ in range(concurrency)))
    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    print(json.dumps({"per_s": count / (time.perf_counter() - started)}))

asyncio.run(main())
"""
CONCURRENCY = 64


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls a second, and this process's own computing time for each."""

    per_s: float
    cpu_us: float


class Clock:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._at, self._cpu = time.perf_counter(), time.process_time()

    def rate(self, count: int) -> Rate:
        return Rate(
            count / (time.perf_counter() - self._at),
            1e6 * (time.process_time() - self._cpu) / count,
        )


@contextmanager
def stub() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", STUB], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(one.stdout.readline())}/v1"
        finally:
            one.kill()


async def bare(url: str, *, jobs: int, size: int) -> Rate:
    """Requests a second of aiohttp alone, with bodies like a worker's."""
    body = json.dumps(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "x" * 200},
                {"role": "user", "content": "x" * (size + 800)},
            ],
            "max_tokens": 400,
        }
    ).encode()
    left = iter(range(jobs))
    headers = {"Content-Type": "application/json", "Idempotency-Key": "x" * 36}

    async def caller(client: aiohttp.ClientSession) -> None:
        for _ in left:
            async with client.post(f"{url}/chat/completions", data=body, headers=headers) as answer:
                json.loads(await answer.read())

    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector) as client:
        clock = Clock()
        await asyncio.gather(*(caller(client) for _ in range(CONCURRENCY)))
        return clock.rate(jobs)


async def loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def planned(engine: Engine, offers: list[Listing], *, jobs: int, size: int, start: int) -> None:
    with engine.begin() as conn:
        plan(conn, wishes(jobs, text="word " * (size // 5), start=start), listings=offers)


def worker(engine: Engine, offers: list[Listing], *, jobs: int) -> Rate:
    """Jobs a second of one worker process, from the first bell to the last settlement."""
    access = {one.offer.name: one.access for one in offers}
    policy = WorkPolicy(concurrency=CONCURRENCY)
    place = Place(
        worker="worker",
        stream="work-1",
        policy=Policy(work=policy).digest().hex(),
        topic="documents.results",
        wait_s=60,
        wait_most_s=60,
    )
    with engine.begin() as conn:
        first = conn.execute(text("SELECT min(id) FROM parcel WHERE state = 'ready'")).scalar_one()
    with running(engine, access_to=lambda: access, policy=policy, place=place) as floor:
        clock = Clock()
        floor.work(first, 0)
        return clock.rate(jobs)


def litellm(url: str, *, jobs: int, size: int) -> dict[str, Any]:
    """Calls a second of litellm's Router, from an environment of its own."""
    with tempfile.TemporaryDirectory() as home:
        python = Path(home, "bin", "python")
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "litellm"], check=True)
        version = subprocess.run(
            [python, "-c", "from importlib.metadata import version; print(version('litellm'))"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        done = subprocess.run(
            [python, "-c", ROUTER, url, str(jobs), "x" * (size + 1_000), str(CONCURRENCY)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return {"litellm_per_s": round(found["per_s"], 1), "litellm": version.stdout.strip()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litellm", action="store_true")
    said = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    bares, on_our_loop, workers = [], [], []
    with tempfile.TemporaryDirectory() as home, embedded.start(Path(home)) as server, stub() as url:
        upgrade(server.url)
        engine = open_engine(server.url)
        offers = [listing("stub/m", url=url, requests_per_minute=600_000_000)]
        with engine.begin() as conn:
            add_budget(conn, 1_000_000)
        for number in range(said.rounds):
            planned(engine, offers, jobs=said.jobs, size=said.bytes, start=number * said.jobs)
            bares.append(asyncio.run(bare(url, jobs=said.jobs, size=said.bytes)))
            on_our_loop.append(loop.run(bare(url, jobs=said.jobs, size=said.bytes)))
            workers.append(worker(engine, offers, jobs=said.jobs))
        with engine.begin() as conn:
            done = conn.execute(text("SELECT count(*) FROM result")).scalar_one()
            assert done == said.jobs * said.rounds, done
            assert_books_are_right(conn)
        engine.dispose()
        other: dict[str, Any] = {"litellm": "not measured; give --litellm"}
        if said.litellm:
            other = litellm(url, jobs=min(said.jobs, 1_000), size=said.bytes)
    bare_per_s = statistics.median(one.per_s for one in bares)
    our_loop_per_s = statistics.median(one.per_s for one in on_our_loop)
    worker_per_s = statistics.median(one.per_s for one in workers)
    figures = {
        "benchmark": "dispatch",
        "jobs": said.jobs,
        "document_bytes": said.bytes,
        "concurrency": CONCURRENCY,
        "bare_aiohttp_per_s": round(bare_per_s),
        "bare_on_workers_loop_per_s": round(our_loop_per_s),
        "workers_loop": loop.run(loop_name()),
        "worker_per_s": round(worker_per_s),
        "share_of_bare": round(worker_per_s / bare_per_s, 3),
        "share_of_bare_on_workers_loop": round(worker_per_s / our_loop_per_s, 3),
        "bare_cpu_us": round(statistics.median(one.cpu_us for one in bares)),
        "worker_cpu_us": round(statistics.median(one.cpu_us for one in workers)),
        "rounds": [
            [round(one.per_s) for one in measured]
            for measured in zip(bares, on_our_loop, workers, strict=True)
        ],
    }
    if "litellm_per_s" in other:
        other["times_litellm"] = round(worker_per_s / other["litellm_per_s"], 1)
    print(json.dumps(figures | other))


if __name__ == "__main__":
    main()
