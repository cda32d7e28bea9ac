"""Bells over a real RabbitMQ, the broker of production: it dies, comes back, and forgets."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery
from kombu import Connection
from sqlalchemy import text

from tests.e2e.conftest import House
from tests.e2e.test_topic_to_ledger import job
from tests.rig.rabbitmq import RabbitMQ, rabbitmq
from tests.rig.waiting import eventually
from workers.app import ANSWERS, TASK

QUEUES = {"apportion.sandbox", "apportion.inhouse"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RabbitMQ]:
    with rabbitmq(tmp_path / "rabbitmq") as broker:
        yield broker


@pytest.fixture
def house(house: House, broker: RabbitMQ) -> House:
    """The whole service, its bells over RabbitMQ."""
    house.run("budget", "set", "default", "--limit", "1")
    return replace(house, env=house.env | {"APPORTION_BROKER_URL": broker.url})


def bells(broker: RabbitMQ, queue: str) -> int:
    """How many bells wait in *queue*, which must be there and survive a restart."""
    with Connection(broker.url) as connection:
        channel = connection.default_channel
        channel.queue_declare(queue, passive=True, durable=True)
        return int(channel.queue_declare(queue, passive=True).message_count)


def assert_done_once(house: House, jobs: int) -> None:
    results = house.consume(house.results, jobs)
    assert Counter(one["job_id"] for one in results) == {f"job-{n}": 1 for n in range(jobs)}
    assert {one["status"] for one in results} == {"done"}
    house.run("report", "budget")
    house.run("audit", "verify")


def test_work_goes_on_when_the_broker_was_killed_and_is_back(
    house: House, broker: RabbitMQ
) -> None:
    serve, _ = house.serve()
    house.produce([job(number) for number in range(20)])
    house.wait_for("SELECT count(*) = 20 FROM result")
    # One queue per provider, each answered and acknowledged: nothing is left to come again.
    house.wait_for("SELECT count(*) = 0 FROM parcel WHERE state <> 'done'")

    broker.kill()
    house.produce([job(number) for number in range(20, 40)])
    serve.wait_for_line("relay waits")
    assert house.scalar("SELECT count(*) FROM result") == 20
    broker.start()

    assert_done_once(house, 40)
    assert {bells(broker, queue) for queue in QUEUES} == {0}


def test_bells_that_the_broker_lost_ring_again(house: House, broker: RabbitMQ) -> None:
    house.start("serve", env=house.env)
    house.produce([job(number) for number in range(20)])
    house.wait_for("SELECT count(*) > 0 AND bool_and(ring_at > now()) FROM parcel")
    broker.kill()
    broker.forget()

    broker.start()
    house.start("worker", env=house.env)

    assert_done_once(house, 20)


def ring(broker: RabbitMQ, count: int) -> None:
    """Bells of the sandbox's queue, for parcels that are not there."""
    app = Celery("bells", broker=broker.url, set_as_current=False)
    for number in range(count):
        app.send_task(TASK, args=(-number, 1), queue="apportion.sandbox")
    app.close()


def test_a_worker_that_was_answering_bells_when_its_broker_died_goes_on_and_ends_when_told(
    house: House, broker: RabbitMQ
) -> None:
    worker = house.start("worker", env=house.env)
    worker.wait_for_line("ready for work")
    with house.engine.begin() as conn:
        # While nobody can look for parcels, every bell is being answered.
        conn.execute(text("LOCK TABLE parcel"))
        ring(broker, ANSWERS)
        eventually(lambda: bells(broker, "apportion.sandbox") == 0, what="bells to be answered")
        broker.kill()
        broker.start()
        ring(broker, 4 * ANSWERS)

    eventually(lambda: bells(broker, "apportion.sandbox") == 0, what="the other bells")
    worker.terminate()
    assert worker.wait() == 0
    assert "Traceback" not in worker.output
    assert "DeprecationWarning" not in worker.output
