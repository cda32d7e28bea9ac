"""The broker in Postgres, first used by several processes at once: none minds the others."""

import warnings
from collections.abc import Callable, Iterator

import pytest
from kombu.connection import Connection as Broker
from sqlalchemy import Engine, text
from sqlalchemy.exc import SADeprecationWarning

from tests.rig.sessions import while_another_does
from workers import bell

QUEUE = "apportion.acme"


@pytest.fixture
def declare(database_url: str) -> Iterator[Callable[[], None]]:
    """What a worker does as it starts: it connects, and declares its queue."""
    with Broker(bell.broker_url(f"sqla+{database_url}")) as broker:

        def declared() -> None:
            broker.channel().queue_declare(QUEUE)

        with warnings.catch_warnings():
            # kombu declares a relation in a way that SQLAlchemy will drop.
            warnings.simplefilter("ignore", SADeprecationWarning)
            yield declared


def queues(engine: Engine) -> list[str]:
    with engine.connect() as conn:
        return list(conn.execute(text("SELECT name FROM kombu_queue")).scalars())


def test_tables_that_another_makes_at_the_same_time_are_taken(
    engine: Engine, declare: Callable[[], None]
) -> None:
    while_another_does(engine, "CREATE SEQUENCE queue_id_sequence", declare)

    assert queues(engine) == [QUEUE]


def test_a_queue_that_another_adds_at_the_same_time_is_taken(
    engine: Engine, declare: Callable[[], None]
) -> None:
    declare()
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM kombu_queue"))

    while_another_does(engine, f"INSERT INTO kombu_queue VALUES (99, '{QUEUE}')", declare)

    assert queues(engine) == [QUEUE]
