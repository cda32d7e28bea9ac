"""The rig itself: what it gives each test is real, fresh, and gone afterwards."""

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from scheduler.store.migrate import check
from tests.rig.kafka import Broker, Topics


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(topic, value).get(10)
    producer.close()


def first_message(bootstrap: str, topic: str) -> bytes:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    consumer.assign([TopicPartition(topic, 0)])
    value: bytes = next(consumer).value
    consumer.close()
    return value


def test_a_test_gets_a_migrated_database(conn: Connection) -> None:
    check(conn)


def test_a_lock_waited_for_fails_instead_of_hanging(engine: Engine) -> None:
    with engine.begin() as first, engine.begin() as second:
        first.execute(text("LOCK TABLE job"))
        with pytest.raises(OperationalError, match="lock timeout"):
            second.execute(text("SELECT FROM job"))


def test_a_message_goes_through_kafka(kafka: Topics) -> None:
    topic = kafka.create("jobs")

    produce(kafka.bootstrap, topic, b"a")

    assert first_message(kafka.bootstrap, topic) == b"a"


def test_a_killed_broker_comes_back_with_its_messages(own_kafka: Broker) -> None:
    topic = own_kafka.topics.create("jobs")
    produce(own_kafka.bootstrap, topic, b"a")

    own_kafka.kill()
    own_kafka.start()

    assert first_message(own_kafka.bootstrap, topic) == b"a"
