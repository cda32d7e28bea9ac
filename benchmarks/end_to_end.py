"""Jobs a second from Kafka to Kafka, through every process of the service, on one machine.

    python -m benchmarks.end_to_end [--jobs 30000] [--bytes 1000] [--rows 1000000]

Intake, planner, relay, rescue and one worker run as processes of their own, with a durable
Postgres, a real Kafka and a stub provider that answers at once.  A round produces the jobs and
ends when the last result can be read (read_committed).  With `--rows` the tables are then filled
with so many finished jobs, and another round shows whether that made it slower.  The baseline,
`bare`, reads the same messages from Kafka, makes the same calls with aiohttp and writes the answers
back to Kafka, and keeps nothing: no plan, no money, no proof.  One JSON line.
"""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import create_engine, text

from benchmarks.dispatch import bare, stub
from scheduler.store import embedded
from scheduler.store.migrate import upgrade
from tests.rig.kafka import Topics, broker
from tests.rig.process import ProcessHandle

PARTS = ("intake", "planner", "relay", "rescue")
WARM_JOBS = 1_000
ROUND_S = 600.0

CATALOG = """
providers:
  stub:
    protocol: openai
    base_url: {url}
    tokenizer: other
    tasks: [summarize]
    requests_per_minute: 2000000
    tokens_per_minute: 2000000000
    concurrency: 64
    context_limit: 128000
    output_limit: 1024
    offers:
      - model: small
        quality: {{summarize: 0.6}}
        prices: [{{from: 2020-01-01, input_usd_per_million: 0.1, output_usd_per_million: 0.4}}]
      - model: large
        quality: {{summarize: 0.9}}
        prices: [{{from: 2020-01-01, input_usd_per_million: 1, output_usd_per_million: 4}}]
"""

# Finished jobs, with all that they leave behind.
FILL = """
INSERT INTO document (tenant_id, digest, bytes, words, body, features, token_stats)
SELECT 1, sha256(('old' || n)::bytea), 200, 40, repeat('old words ', 20),
       (SELECT features FROM document LIMIT 1), (SELECT token_stats FROM document LIMIT 1)
FROM generate_series(1, {rows}) AS n;

WITH old AS (
    INSERT INTO job (tenant_id, project_id, key, digest, document_id, task, data_class, source,
                     state, plan_id, booked_on, spent_nusd, finished_at)
    SELECT 1, 3, 'old-' || document.id, document.digest, document.id, 'summarize', 'internal',
           'fill', 'done', (SELECT min(id) FROM plan), current_date, 1000, now()
    FROM document WHERE body LIKE 'old words%'
    RETURNING id
), calls AS (
    INSERT INTO attempt (id, started_at, job_id, parcel_id, fence, ordinal, offer_id, price_id,
                         reduction, prompt, state, reserved_nusd, booked_on, cost_nusd,
                         input_tokens, output_tokens, finished_at)
    SELECT gen_random_uuid(), now(), id, 1, 1, 1, (SELECT min(id) FROM offer),
           (SELECT min(id) FROM price), 'none', 'summarize-1', 'succeeded', 2000, current_date,
           1000, 300, 100, now()
    FROM old RETURNING id, job_id
), results AS (
    INSERT INTO result (job_id, tenant_id, status, output, attempt_id, offer_id, reduction,
                        cost_nusd, digest)
    SELECT job_id, 1, 'done', '"An old summary of it."', id, (SELECT min(id) FROM offer), 'none',
           1000, sha256('old'::bytea)
    FROM calls
)
INSERT INTO ledger (kind, amount_nusd, tenant_id, project_id, booked_on, job_id, attempt_id,
                    offer_id)
SELECT kind, 1000, 1, 3, current_date, job_id, CASE kind WHEN 'posting' THEN id END,
       CASE kind WHEN 'posting' THEN (SELECT min(id) FROM offer) END
FROM calls CROSS JOIN unnest(ARRAY['reservation', 'posting']) AS kind;

UPDATE budget SET spent_nusd = spent_nusd + {rows} * 1000::bigint;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a benchmark runs: a database, topics and a stub."""

    database_url: str
    topics: Topics
    stub_url: str
    jobs: str
    results: str

    def produce(self, first: int, count: int, size: int) -> None:
        """Send jobs number *first* and on."""
        filler = "The committee met and agreed on the budget of the year. " * (size // 56 + 1)
        with closing(
            KafkaProducer(bootstrap_servers=self.topics.bootstrap, linger_ms=20, batch_size=262_144)
        ) as producer:
            for number in range(first, first + count):
                job = {"job_id": f"job-{number}", "task": "summarize"}
                value = json.dumps(job | {"text": f"{number} {filler}"[:size]}).encode()
                producer.send(self.jobs, key=b"%d" % number, value=value)
            producer.flush(60)


@contextmanager
def place(home: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        server = stack.enter_context(embedded.start(home / "postgres"))
        upgrade(server.url)
        topics = stack.enter_context(broker(home / "kafka")).topics
        yield Place(
            database_url=server.url,
            topics=topics,
            stub_url=stack.enter_context(stub()),
            jobs=topics.create("jobs"),
            results=topics.create("results"),
        )


@contextmanager
def service(at: Place, home: Path) -> Iterator[None]:
    """Every process of the service, with a budget that is large enough."""
    catalog = home / "catalog.yaml"
    catalog.write_text(CATALOG.format(url=at.stub_url))
    env = {
        "APPORTION_DATABASE_URL": at.database_url,
        "APPORTION_KAFKA_BOOTSTRAP": at.topics.bootstrap,
        "APPORTION_JOBS_TOPIC": at.jobs,
        "APPORTION_RESULTS_TOPIC": at.results,
        "APPORTION_FEEDBACK_TOPIC": at.topics.create("feedback"),
        "APPORTION_DEAD_TOPIC": at.topics.create("dead"),
        "APPORTION_CATALOG": str(catalog),
        "APPORTION_LOG_LEVEL": "WARNING",
    }
    budget = ProcessHandle.apportion(
        *("budget", "set", "default", "--limit", "1000000"), log=home / "budget.log", env=env
    )
    assert budget.wait(within_s=60) == 0, budget.output
    commands = [("serve", "--only", part) for part in PARTS] + [("worker",)]
    running = [
        ProcessHandle.apportion(*command, log=home / f"{command[-1]}.log", env=env)
        for command in commands
    ]
    try:
        yield
    finally:
        for process in running:
            process.end()


class Results:
    """Counts the results as they come."""

    def __init__(self, at: Place) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=at.topics.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        self._consumer.assign([TopicPartition(at.results, 0)])

    def wait_for(self, count: int) -> None:
        ends_at = time.monotonic() + ROUND_S
        found = 0
        while found < count:
            assert time.monotonic() < ends_at, f"{found} of {count} results in {ROUND_S} s"
            for records in self._consumer.poll(timeout_ms=200, max_records=10_000).values():
                found += len(records)
        assert found == count, f"{found} results of {count} jobs"

    def close(self) -> None:
        self._consumer.close()


def one_round(at: Place, results: Results, *, first: int, count: int, size: int) -> float:
    """Jobs a second."""
    began = time.perf_counter()
    at.produce(first, count, size)
    results.wait_for(count)
    return count / (time.perf_counter() - began)


def bare_round(at: Place, *, count: int, size: int) -> float:
    """Jobs a second without the service: read, call, write."""
    source, target = at.topics.create("bare"), at.topics.create("answers")
    bootstrap = at.topics.bootstrap
    with closing(KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)) as producer:
        for number in range(count):
            producer.send(source, value=b"%d " % number + b"x" * size)
        producer.flush(60)
        began = time.perf_counter()
        with closing(
            KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        ) as consumer:
            consumer.assign([TopicPartition(source, 0)])
            found = 0
            while found < count:
                for records in consumer.poll(timeout_ms=200, max_records=5_000).values():
                    found += len(records)
                    asyncio.run(bare(at.stub_url, jobs=len(records), size=size))
                    for record in records:
                        producer.send(target, key=record.key, value=record.value[:500])
        producer.flush(60)
    return count / (time.perf_counter() - began)


def fill(at: Place, rows: int) -> None:
    engine = create_engine(at.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.execute(text(FILL.format(rows=rows)))
        conn.execute(text("ANALYZE"))
    engine.dispose()


@click.command()
@click.option("--jobs", default=30_000, show_default=True)
@click.option("--bytes", "size", default=1_000, show_default=True)
@click.option("--rows", default=0, show_default=True)
def main(*, jobs: int, size: int, rows: int) -> None:
    """Measure, and print one JSON line."""
    # Postgres may run as another user, who must be able to enter.
    home = Path(tempfile.mkdtemp(prefix="apportion-bench-"))
    os.chmod(home, 0o755)
    try:
        with place(home) as at:
            figures = measure(at, home, jobs=jobs, size=size, rows=rows)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(figures))


def measure(at: Place, home: Path, *, jobs: int, size: int, rows: int) -> dict[str, Any]:
    bare_per_s = bare_round(at, count=min(jobs, 20_000), size=size)
    with service(at, home), closing(Results(at)) as results:
        one_round(at, results, first=0, count=WARM_JOBS, size=size)
        per_s = one_round(at, results, first=WARM_JOBS, count=jobs, size=size)
        figures = {
            "benchmark": "end_to_end",
            "jobs": jobs,
            "document_bytes": size,
            "per_s": round(per_s),
            "bare_per_s": round(bare_per_s),
            "share_of_bare": round(per_s / bare_per_s, 3),
        }
        if rows:
            fill(at, rows)
            later = one_round(at, results, first=WARM_JOBS + jobs, count=jobs, size=size)
            figures |= {
                "rows": rows,
                "per_s_after_rows": round(later),
                "after_to_before": round(later / per_s, 3),
            }
    return figures


if __name__ == "__main__":
    main()
