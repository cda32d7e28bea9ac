"""What the tests of intake share: topics, a producer, and the intake as a process."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from kafka import KafkaProducer
from sqlalchemy import Engine, func, select, text

from scheduler.store.tables.jobs import job
from tests.rig.kafka import Topics
from tests.rig.process import ProcessHandle
from tests.rig.waiting import PATIENCE_S, eventually


def job_message(job_id: str, **fields: Any) -> bytes:
    """A job as a client would send it."""
    said = {"job_id": job_id, "task": "summarize", "text": f"The text of {job_id}."}
    return json.dumps(said | fields).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Topics of a test's own, with a database to take them into.

    Attributes:
        env: settings for an `apportion` process.
    """

    bootstrap: str
    jobs: str
    feedback: str
    env: Mapping[str, str]
    engine: Engine
    kafka: Mapping[str, Any] = field(default_factory=dict)

    def send(
        self,
        values: Sequence[bytes | None],
        *,
        topic: str | None = None,
        partition: int | None = None,
        keys: Sequence[bytes | None] | None = None,
        headers: list[tuple[str, bytes]] | None = None,
        compression_type: str | None = None,
    ) -> None:
        """Produce *values*, and wait until Kafka has them."""
        with closing(
            KafkaProducer(
                bootstrap_servers=self.bootstrap, linger_ms=5, compression_type=compression_type
            )
        ) as producer:
            for at, value in enumerate(values):
                producer.send(
                    topic or self.jobs,
                    value=value,
                    key=keys[at] if keys else b"k%d" % at,
                    partition=partition,
                    headers=headers,
                )
            producer.flush(60)

    def keys(self) -> list[str]:
        """The ids of all jobs taken in."""
        with self.engine.connect() as conn:
            return list(conn.execute(select(job.c.key).order_by(job.c.key)).scalars())

    def wait_for_jobs(self, count: int, *, within_s: float = PATIENCE_S) -> None:
        """Until *count* jobs are there; fails at once when there are more."""

        def counted() -> bool:
            with self.engine.connect() as conn:
                found: int = conn.execute(select(func.count()).select_from(job)).scalar_one()
            assert found <= count, f"{found} jobs, and {count} were sent"
            return found == count

        eventually(counted, within_s=within_s, what=f"{count} jobs", every_s=0.05)

    def scalar(self, statement: str) -> Any:
        with self.engine.connect() as conn:
            return conn.execute(text(statement)).scalar()

    def wait_for(self, statement: str, *, within_s: float = PATIENCE_S) -> Any:
        """The first true value of *statement*, which selects one."""
        return eventually(
            lambda: self.scalar(statement), within_s=within_s, what=statement, every_s=0.05
        )


def make_stream(
    topics: Topics, engine: Engine, database_url: str, *, partitions: int = 1, **env: str
) -> Stream:
    jobs, feedback = (
        topics.create("jobs", partitions=partitions),
        topics.create("feedback"),
    )
    return Stream(
        bootstrap=topics.bootstrap,
        jobs=jobs,
        feedback=feedback,
        engine=engine,
        env={
            "APPORTION_DATABASE_URL": database_url,
            "APPORTION_KAFKA_BOOTSTRAP": topics.bootstrap,
            "APPORTION_KAFKA_GROUP": jobs,
            "APPORTION_JOBS_TOPIC": jobs,
            "APPORTION_FEEDBACK_TOPIC": feedback,
            "APPORTION_LOG_JSON": "true",
            **env,
        },
    )


@pytest.fixture
def stream(kafka: Topics, engine: Engine, database_url: str) -> Stream:
    """One partition of jobs."""
    return make_stream(kafka, engine, database_url)


@pytest.fixture
def intake(stream: Stream, start: Callable[..., ProcessHandle]) -> Callable[[], ProcessHandle]:
    """Starts an `apportion intake` on the test's stream."""
    return lambda: start("intake", env=dict(stream.env))
