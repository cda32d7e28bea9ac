"""A worker whose broker turns it away ends with a line; one whose broker is away waits for it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from amqp.exceptions import RecoverableConnectionError
from billiard.exceptions import RestartFreqExceeded

from tests.rig.kafka import free_ports
from tests.rig.process import ProcessHandle
from tests.rig.rabbitmq import RabbitMQ, rabbitmq
from workers.app import celery_app, lost_connection

Start = Callable[..., ProcessHandle]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RabbitMQ]:
    with rabbitmq(tmp_path / "rabbitmq") as broker:
        yield broker


def test_a_worker_whose_login_the_broker_refuses_says_what_to_mend(
    broker: RabbitMQ, database_url: str, start: Start
) -> None:
    url = broker.url.replace("guest:guest", "guest:very-secret")
    worker = start(
        "worker", env={"APPORTION_DATABASE_URL": database_url, "APPORTION_BROKER_URL": url}
    )

    assert worker.wait() == 1

    assert "APPORTION_BROKER_URL" in worker.output.splitlines()[-1]
    assert "Traceback" not in worker.output
    assert "very-secret" not in worker.output


def test_a_worker_whose_broker_is_away_says_so_and_waits(database_url: str, start: Start) -> None:
    [port] = free_ports(1)
    url = f"amqp://guest:very-secret@127.0.0.1:{port}//"
    worker = start(
        "worker", env={"APPORTION_DATABASE_URL": database_url, "APPORTION_BROKER_URL": url}
    )

    worker.wait_for_line(r"Cannot connect to amqp://guest:\*+@127.0.0.1")

    assert worker.status is None
    assert "Traceback" not in worker.output
    assert "very-secret" not in worker.output


@pytest.mark.parametrize(
    ("error", "traceback"),
    [
        (RecoverableConnectionError("Socket was disconnected"), False),
        (ConnectionResetError(104, "Connection reset by peer"), False),
        (RestartFreqExceeded("5 in 1s"), False),
        (ValueError("a defect"), True),
    ],
)
def test_what_could_not_be_ended_as_the_broker_was_lost_is_told_in_a_line(
    error: Exception, traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("tests.workers.test_broker")
    app = celery_app("amqp://guest:guest@127.0.0.1//")
    lost = lost_connection(app)
    logger.addFilter(lost)
    try:
        raise error
    except type(error):
        logger.exception("Error cleaning up after event loop: %r", error)
    finally:
        logger.removeFilter(lost)

    [record] = caplog.records
    assert repr(error) in record.getMessage()
    assert (record.exc_info is not None) is traceback
    assert record.levelname == ("ERROR" if traceback else "WARNING")
