"""The rig itself: what it gives each test is real, fresh, and gone afterwards."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from scheduler.store.migrate import check
from tests.rig.kafka import Broker, Topics
from tests.rig.postgres import Server, database
from tests.rig.process import REPO, ProcessHandle, clean_environment


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


def test_a_tests_database_is_gone_after_the_test(postgres: Server, template: str) -> None:
    with database(postgres, like=template) as name:
        pass

    with postgres.connect() as conn:
        found = conn.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        assert found.rowcount == 0


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


def python(code: str, log: Path) -> ProcessHandle:
    return ProcessHandle([sys.executable, "-c", code], log=log)


def test_a_process_is_watched_by_what_it_prints(tmp_path: Path) -> None:
    code = "import time; print('listening on 1', end=''); time.sleep(0.3); print(7)"
    process = python(code, tmp_path / "log")

    assert process.wait_for_line(r"^listening on (\d+)$")[1] == "17"
    process.end()


def test_a_process_that_ends_early_fails_the_test_with_what_it_said(tmp_path: Path) -> None:
    process = python("raise SystemExit('no such topic')", tmp_path / "log")

    with pytest.raises(AssertionError, match=r"(?s)ended with status 1 .*no such topic"):
        process.wait_for_line("ready")


def test_ending_a_process_ends_what_it_started(tmp_path: Path) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid); p.wait()"
    process = python(code, tmp_path / "log")
    child = psutil.Process(int(process.wait_for_line(r"^\d+$")[0]))

    process.end()

    assert child.wait(60) is not None or not child.is_running()


def test_no_key_or_setting_of_the_person_reaches_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("APPORTION_DATABASE_URL", "postgresql://production")

    assert {"OPENAI_API_KEY", "APPORTION_DATABASE_URL"}.isdisjoint(clean_environment())


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with what every machine has and no more: no Java, Maven, RabbitMQ, sudo or apt-get."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("env", "head", "id", "sed", "sh"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    return programs


def run(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(REPO / "scripts" / script), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_without_the_servers_one_is_told_what_to_install(bare_path: Path) -> None:
    told = run("need-servers.sh", PATH=str(bare_path))

    assert told.returncode == 1
    assert "Missing: java maven" in told.stderr
    assert "sudo apt-get install openjdk-17-jre-headless maven rabbitmq-server" in told.stderr


@pytest.mark.parametrize(("version", "missing"), [("11.0.2", "java maven"), ("21", "maven")])
def test_an_old_java_counts_as_none(bare_path: Path, version: str, missing: str) -> None:
    java = bare_path / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2018-10-16' >&2\n")
    java.chmod(0o755)

    told = run("need-servers.sh", PATH=str(bare_path))

    # Debian's RabbitMQ is also found where it lies.
    assert re.search(f"^Missing: {missing}( rabbitmq)?$", told.stderr, re.MULTILINE)


def test_without_a_new_enough_python_one_is_told_what_to_install(tmp_path: Path) -> None:
    told = run("make-venv.sh", str(tmp_path / "venv"), PATH=os.environ["PATH"], PYTHON="python2.7")

    assert told.returncode == 1
    assert "Python 3.11 or newer is needed" in told.stderr
    assert not (tmp_path / "venv").exists()
