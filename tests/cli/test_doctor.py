"""`apportion doctor` names what is broken, says what to do, and shows no secret."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.estimate.test_embedding import model_folder

DOWN = "127.0.0.1:1"


def checks(stdout: str) -> dict[str, tuple[str, str]]:
    return {one["part"]: (one["health"], one["found"]) for one in json.loads(stdout)}


def test_a_service_that_is_well_passes(run: Run, database_url: str) -> None:
    told = run("doctor", database=database_url)

    assert told.exit_code == 0, told.output
    assert "fault" not in told.stdout


def test_what_cannot_be_reached_is_a_fault(run: Run, database_url: str) -> None:
    settings = {
        "APPORTION_KAFKA_BOOTSTRAP": DOWN,
        "APPORTION_BROKER_URL": f"amqp://user:very-secret@{DOWN}//",
    }
    told = run("doctor", "--json", database=database_url, **settings)

    found = checks(told.stdout)
    assert told.exit_code == 1
    assert found["kafka"][0] == found["broker"][0] == "fault"
    assert found["database"][0] == "ok"
    assert "very-secret" not in told.output


def test_without_a_database_the_rest_is_looked_at_all_the_same(run: Run) -> None:
    url = f"postgresql://user:very-secret@{DOWN}/apportion"

    told = run(
        "doctor", "--json", database=url, APPORTION_BROKER_URL=f"amqp://user:very-secret@{DOWN}//"
    )

    found = checks(told.stdout)
    assert told.exit_code == 1
    assert found["database"][0] == "fault"
    assert DOWN in found["database"][1]
    assert (found["broker"][0], found["disk"][0]) == ("fault", "ok")
    assert "very-secret" not in told.output


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("policy", "APPORTION_POLICY", '{"plan": {"window": 5}}'),
        ("policy", "APPORTION_POLICY", '{"plan": {"night_crontab": "at ten"}}'),
        ("policy", "APPORTION_POLICY_FILE", "/nowhere/policy.json"),
        ("kafka", "APPORTION_KAFKA_OPTIONS", "security_protocol=SSL"),
        ("database", "APPORTION_DATABASE_URL", "postgresql://user:word@host:port/apportion"),
    ],
)
def test_a_setting_that_cannot_be_used_is_a_fault(
    run: Run, database_url: str, part: str, setting: str, value: str
) -> None:
    settings = {"APPORTION_DATABASE_URL": database_url, "APPORTION_KAFKA_BOOTSTRAP": DOWN}

    told = run("doctor", "--json", database="", **settings | {setting: value})

    assert told.exit_code == 1
    assert checks(told.stdout)[part][0] == "fault"
    assert setting in told.output


def test_a_key_that_is_set_is_told_and_not_shown(run: Run, database_url: str) -> None:
    told = run("doctor", "--json", database=database_url, OPENAI_API_KEY="sk-very-secret")

    assert checks(told.stdout)["key of openai"] == ("ok", "OPENAI_API_KEY is set")
    assert "very-secret" not in told.output


def test_a_catalog_that_cannot_be_read_is_a_fault(run: Run, database_url: str) -> None:
    told = run("doctor", "--json", database=database_url, APPORTION_CATALOG="/nowhere/c.yaml")

    assert told.exit_code == 1
    assert checks(told.stdout)["catalog"][0] == "fault"


def test_an_embedding_model_is_looked_at(run: Run, database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    missing = run("doctor", "--json", database=database_url, APPORTION_EMBEDDING=str(folder))
    folder.mkdir()
    there = run(
        "doctor", "--json", database=database_url, APPORTION_EMBEDDING=str(model_folder(folder))
    )

    assert (missing.exit_code, checks(missing.stdout)["embedding"][0]) == (1, "fault")
    assert (there.exit_code, checks(there.stdout)["embedding"][0]) == (0, "ok")
