"""Every check tells what is well from what is not, and says what to do about it."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import load_catalog
from scheduler.domain.errors import Refused
from scheduler.estimate.embedding import Embedder
from scheduler.monitoring.checks import Check, Health
from scheduler.monitoring.doctor import (
    check_broker,
    check_catalog,
    check_database,
    check_disk,
    check_embedding,
    check_kafka,
)
from scheduler.store.connect import open_engine
from tests.estimate.test_embedding import WIDTH, model_folder
from tests.rig.kafka import Topics


def now() -> datetime:
    return datetime.now(UTC)


def database(conn: Connection, *, ahead: timedelta = timedelta()) -> dict[str, Check]:
    checks = check_database(conn, now=lambda: now() + ahead, is_embedded=False)
    return {check.part: check for check in checks}


def healths(checks: dict[str, Check]) -> dict[str, Health]:
    return {part: check.health for part, check in checks.items()}


@pytest.fixture
def app(database_url: str) -> Engine:
    return open_engine(database_url)


def test_a_migrated_database_is_well(app: Engine) -> None:
    with app.connect() as conn:
        found = database(conn)
    app.dispose()

    # The tests' login is a superuser, which a service's should not be.
    assert healths(found) == dict.fromkeys(
        ("database", "schema", "partitions", "clock", "connections"), Health.OK
    ) | {"role": Health.WARNING}


def test_a_session_that_may_rewrite_the_ledger_is_a_fault(conn: Connection) -> None:
    found = database(conn)["role"]

    assert found.health is Health.FAULT
    assert "apportion_app" in found.advice


@pytest.mark.parametrize(
    ("ahead_s", "health"),
    [(0, Health.OK), (-5, Health.WARNING), (5, Health.WARNING), (60, Health.FAULT)],
)
def test_a_clock_that_is_off_is_told(conn: Connection, ahead_s: int, health: Health) -> None:
    assert database(conn, ahead=timedelta(seconds=ahead_s))["clock"].health is health


def test_another_program_s_schema_is_a_fault(conn: Connection) -> None:
    conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    found = database(conn)["schema"]

    assert (found.health, found.found) == (Health.FAULT, "0001")
    assert "apportion migrate" in found.advice


def test_a_month_without_its_table_is_named(conn: Connection) -> None:
    month = f"ledger_{now():%Y_%m}"
    conn.execute(text(f"DROP TABLE {month}"))

    found = database(conn)["partitions"]

    assert (found.health, found.found) == (Health.FAULT, f"missing: {month}")


def test_kafka_and_its_topics_are_looked_at(kafka: Topics) -> None:
    there = kafka.create("jobs")

    found = {
        check.part: check
        for check in check_kafka(
            {"bootstrap_servers": [kafka.bootstrap]}, topics=[there, "not-there"]
        )
    }

    assert found["kafka"].health is Health.OK
    assert kafka.bootstrap in found["kafka"].found
    assert found[f"topic {there}"].health is Health.OK
    assert found["topic not-there"].health is Health.FAULT
    assert "--topic not-there" in found["topic not-there"].advice


@pytest.mark.parametrize("server", ["127.0.0.1:1", "[::1]:1"])
def test_kafka_that_is_away_is_one_fault(server: str) -> None:
    [found] = check_kafka({"bootstrap_servers": [server]}, topics=["documents.jobs"])

    assert found.health is Health.FAULT
    assert server in found.found
    assert "APPORTION_KAFKA_BOOTSTRAP" in found.advice


def test_options_that_kafka_s_client_does_not_know_are_a_fault(kafka: Topics) -> None:
    options = {"bootstrap_servers": [kafka.bootstrap], "no_such_option": 1}

    [found] = check_kafka(options, topics=[])

    assert found.health is Health.FAULT
    assert "no_such_option" in found.found


def test_the_database_serves_as_broker() -> None:
    assert check_broker("sqla+postgresql+psycopg://u:very-secret@h/d").health is Health.OK


def test_a_broker_that_is_away_is_a_fault_without_its_password() -> None:
    found = check_broker("amqp://user:very-secret@127.0.0.1:1//")

    assert found.health is Health.FAULT
    assert "127.0.0.1:1" in found.found
    assert "very-secret" not in found.found


@pytest.mark.parametrize(
    "url", ["http://u:very-secret@h", "redis://:very-secret@h", "amqp://u:very-secret@h:port//"]
)
def test_a_broker_that_is_none_is_a_fault_that_says_how_to_write_one(url: str) -> None:
    found = check_broker(url)

    assert (found.health, found.advice) == (
        Health.FAULT,
        "write it like amqp://user:password@host//",
    )
    assert "very-secret" not in found.found


def test_a_provider_s_key_is_told_and_not_shown() -> None:
    def load() -> object:
        environ = {"OPENAI_API_KEY": "sk-very-secret"}
        return offers_on(load_catalog(), today=now().date(), environ=environ)

    found = {check.part: check for check in check_catalog(load)}  # type: ignore[arg-type]

    assert found["catalog"].health is Health.OK
    assert found["key of openai"].found == "OPENAI_API_KEY is set"
    assert "ANTHROPIC_API_KEY is not set" in found["key of anthropic"].found
    assert not any("very-secret" in check.found for check in found.values())


def test_a_catalog_with_nothing_on_is_a_fault() -> None:
    [found] = check_catalog(list)

    assert found.health is Health.FAULT
    assert "apportion offers" in found.advice


def test_a_catalog_that_is_refused_is_a_fault() -> None:
    def load() -> list[object]:
        raise Refused("line 7: no price")

    [found] = check_catalog(load)  # type: ignore[arg-type]

    assert (found.health, found.found) == (Health.FAULT, "line 7: no price")


@pytest.mark.parametrize(
    ("free_gib", "health"), [(0.5, Health.FAULT), (3, Health.WARNING), (50, Health.OK)]
)
def test_a_disk_that_fills_is_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gib: float, health: Health
) -> None:
    usage = SimpleNamespace(free=int(free_gib * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    assert check_disk(tmp_path / "not" / "there" / "yet").health is health


def test_without_an_embedding_model_that_is_said_and_well() -> None:
    [found] = check_embedding(None, learned_on="")

    assert found.health is Health.OK
    assert "APPORTION_EMBEDDING is not set" in found.found


def test_an_embedding_model_is_loaded_and_its_width_told(tmp_path: Path) -> None:
    name = Embedder.load(model_folder(tmp_path)).name

    [found] = check_embedding(tmp_path, learned_on=name)

    assert found.health is Health.OK
    assert found.found == f"{name} at {tmp_path}, {WIDTH} numbers a document"


def test_a_folder_without_a_model_is_a_fault(tmp_path: Path) -> None:
    [found] = check_embedding(tmp_path / "none", learned_on=None)

    assert found.health is Health.FAULT
    assert "there is no model.onnx" in found.found
    assert "APPORTION_EMBEDDING" in found.advice


@pytest.mark.parametrize("is_set", [True, False])
def test_a_predictor_of_another_embedding_model_is_warned_of(
    tmp_path: Path, *, is_set: bool
) -> None:
    folder = model_folder(tmp_path) if is_set else None

    _, found = check_embedding(folder, learned_on="onnx:other")

    assert (found.part, found.health) == ("quality", Health.WARNING)
    assert "apportion learn" in found.advice


def test_a_predictor_that_reads_no_embedding_is_well_with_one(tmp_path: Path) -> None:
    _, found = check_embedding(model_folder(tmp_path), learned_on="")

    assert found.health is Health.OK
    assert "apportion learn" in found.found
