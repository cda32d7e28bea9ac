"""What the tests of the whole service share: Kafka, Postgres, the sandbox, and every process."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import Engine, text

from tests.rig.kafka import Topics
from tests.rig.process import ProcessHandle
from tests.rig.waiting import PATIENCE_S, eventually
from workers.sandbox.bill import read_rows
from workers.sandbox.process import SandboxProcess, sandbox_process

Start = Callable[..., ProcessHandle]
# Short windows, leases and rests, so that what is to happen happens within a test.
POLICY = {
    # Exploring would send a few jobs elsewhere, by design.
    "plan": {"explore_ppm": 0, "window_s": 0.2, "poll_s": 0.1, "ring_s": 1.0, "deferral_s": 1.0},
    "work": {"lease_s": 3.0, "claim_s": 2.0, "flush_s": 0.1, "stop_s": 5.0, "breaker_rest_s": 1.0},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The whole service's surroundings.

    Attributes:
        env: settings for any `apportion` process.
    """

    engine: Engine
    bootstrap: str
    jobs: str
    results: str
    dead: str
    sandbox: SandboxProcess
    env: dict[str, str]
    start: Start

    def serve(self) -> tuple[ProcessHandle, ProcessHandle]:
        """`apportion serve` and one worker."""
        return self.start("serve", env=self.env), self.start("worker", env=self.env)

    def run(self, *arguments: str) -> str:
        """What a command prints; it must end well."""
        process = self.start(*arguments, env=self.env)
        assert process.wait() == 0, process.output
        return process.output

    def produce(self, messages: Sequence[dict[str, Any]]) -> None:
        """Send jobs as any client would."""
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)) as producer:
            for message in messages:
                key = str(message.get("job_id", "")).encode()
                producer.send(self.jobs, key=key, value=json.dumps(message).encode())
            producer.flush(60)

    def consume(
        self, topic: str, count: int, *, within_s: float = PATIENCE_S
    ) -> list[dict[str, Any]]:
        """At least *count* committed messages of *topic*, and whatever else comes with them."""
        found: list[dict[str, Any]] = []
        with closing(
            KafkaConsumer(
                bootstrap_servers=self.bootstrap,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
            )
        ) as consumer:
            consumer.assign([TopicPartition(topic, 0)])

            def enough() -> bool:
                for records in consumer.poll(timeout_ms=200).values():
                    found.extend(json.loads(record.value) for record in records)
                return len(found) >= count

            eventually(enough, within_s=within_s, what=f"{count} messages on {topic}")
            # What was published twice would come now.
            for records in consumer.poll(timeout_ms=500).values():
                found.extend(json.loads(record.value) for record in records)
        return found

    def scalar(self, statement: str) -> Any:
        with self.engine.connect() as conn:
            return conn.execute(text(statement)).scalar()

    def wait_for(self, statement: str, *, within_s: float = PATIENCE_S) -> None:
        """Until *statement* selects something true."""
        eventually(lambda: self.scalar(statement), within_s=within_s, what=statement, every_s=0.1)

    def billed_nusd(self) -> int:
        """What the sandbox says it billed."""
        return sum(row["cost_nusd"] for row in read_rows(self.sandbox.bill))


@pytest.fixture
def house(
    kafka: Topics, engine: Engine, database_url: str, start: Start, tmp_path: Path
) -> Iterator[House]:
    with sandbox_process(bill=tmp_path / "bill.jsonl", options=("--latency", "0.02")) as sandbox:
        jobs, results, dead = (kafka.create(like) for like in ("jobs", "results", "dead"))
        yield House(
            engine=engine,
            bootstrap=kafka.bootstrap,
            jobs=jobs,
            results=results,
            dead=dead,
            sandbox=sandbox,
            start=start,
            env={
                "APPORTION_DATABASE_URL": database_url,
                "APPORTION_KAFKA_BOOTSTRAP": kafka.bootstrap,
                "APPORTION_KAFKA_GROUP": jobs,
                "APPORTION_JOBS_TOPIC": jobs,
                "APPORTION_RESULTS_TOPIC": results,
                "APPORTION_DEAD_TOPIC": dead,
                "APPORTION_FEEDBACK_TOPIC": kafka.create("feedback"),
                "APPORTION_SANDBOX_URL": sandbox.url,
                "APPORTION_POLICY": json.dumps(POLICY),
                "APPORTION_HOME": str(tmp_path / "home"),
            },
        )
