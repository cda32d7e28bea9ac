"""Settings come from the environment; a wrong one is named, and its value is not repeated."""

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from kafka.net.sasl import SASL_MECHANISMS

from scheduler.domain.policy import Policy
from scheduler.settings import KAFKA_MECHANISMS, BadSettings, Settings, read_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("APPORTION_")]:
        monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, **env: str) -> Settings:
    for name, value in env.items():
        monkeypatch.setenv(f"APPORTION_{name}", value)
    return read_settings()


def test_with_nothing_set_everything_is_embedded() -> None:
    settings = read_settings()

    assert settings.database_url is None
    assert settings.broker_url is None
    assert settings.kafka_bootstrap is None
    assert settings.home.name == "apportion"
    assert settings.policies == Policy()


def test_a_setting_that_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, DATABASE_URL="", KAFKA_BOOTSTRAP="", LOG_JSON="")

    assert settings.database_url is None
    assert settings.kafka_bootstrap is None
    assert settings.log_json is False


def test_kafka_s_options_go_through_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(
        monkeypatch,
        KAFKA_BOOTSTRAP="a:1,b:2",
        KAFKA_OPTIONS='{"security_protocol": "SSL", "sasl_plain_password": "very-secret"}',
    )

    assert settings.kafka == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SSL",
        "sasl_plain_password": "very-secret",
    }


def test_secrets_are_not_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(
        monkeypatch,
        DATABASE_URL="postgresql://u:very-secret@h/d",
        BROKER_URL="amqp://u:very-secret@h//",
        KAFKA_OPTIONS='{"sasl_plain_password": "very-secret"}',
    )

    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()


def test_document_roots_are_separated_by_colons(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = read(monkeypatch, ROOTS=f"{tmp_path}:/srv/documents/../documents")

    assert settings.document_roots == (tmp_path.resolve(), Path("/srv/documents").resolve())


def test_a_figure_of_the_policy_is_set_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, POLICY='{"plan": {"window_s": 5}}')

    assert settings.policies.plan.window_s == 5.0
    assert settings.policies.work == Policy().work


def test_the_policy_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"work": {"concurrency": 7}}')

    assert read(monkeypatch, POLICY_FILE=str(file)).policies.work.concurrency == 7


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        ('{"plan": {"windows": 5}}', "plan.windows"),
        ('{"plans": {}}', "plans"),
        ('{"plan": {"window_s": "soon"}}', "window_s"),
        ("[]", "must be a JSON object"),
        ("{", "must be a JSON object"),
    ],
)
def test_a_policy_that_is_not_understood_is_named(
    monkeypatch: pytest.MonkeyPatch, policy: str, named: str
) -> None:
    settings = read(monkeypatch, POLICY=policy)

    with pytest.raises(BadSettings, match=named):
        _ = settings.policies


def test_a_policy_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, POLICY_FILE="/nowhere/policy.json")

    with pytest.raises(BadSettings, match=r"/nowhere/policy\.json"):
        _ = settings.policies


def test_kafka_options_that_are_not_json_are_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(monkeypatch, KAFKA_OPTIONS='{"sasl_plain_password": "very-secret"')

    with pytest.raises(BadSettings, match="APPORTION_KAFKA_OPTIONS") as refused:
        _ = settings.kafka

    assert "very-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"security_protocol": "sasl_ssl"}, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"security_protocol": "TLS"}, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"security_protocol": ["SSL"]}, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "scram-sha-512"}, "SCRAM-SHA-512"),
        ({"security_protocol": "SASL_SSL"}, "SCRAM-SHA-512"),
    ],
)
def test_what_kafka_s_client_would_take_for_no_protection_is_refused(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], named: str
) -> None:
    said = json.dumps(options | {"sasl_plain_password": "very-secret"})
    settings = read(monkeypatch, KAFKA_OPTIONS=said)

    with pytest.raises(BadSettings, match="APPORTION_KAFKA_OPTIONS") as refused:
        _ = settings.kafka

    assert named in str(refused.value)
    assert "very-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"security_protocol": "PLAINTEXT"},
        {"security_protocol": "SSL"},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
    ],
)
def test_every_way_to_kafka_that_its_client_knows_is_taken(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    settings = read(monkeypatch, KAFKA_OPTIONS=json.dumps(options))

    assert settings.kafka == {"bootstrap_servers": [""]} | options


def test_every_mechanism_that_is_taken_is_one_of_the_client_s() -> None:
    assert set(SASL_MECHANISMS) == set(KAFKA_MECHANISMS)


def test_a_value_that_cannot_be_read_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="APPORTION_LOG_JSON: ") as refused:
        read(monkeypatch, LOG_JSON="very-secret")

    assert "very-secret" not in str(refused.value)


def test_a_log_level_is_one_of_logging_s_in_either_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, LOG_LEVEL="debug").log_level == "DEBUG"
    assert read(monkeypatch, LOG_LEVEL="warn").log_level == "WARNING"
    with pytest.raises(BadSettings, match="APPORTION_LOG_LEVEL: Input should be 'DEBUG'"):
        read(monkeypatch, LOG_LEVEL="loud")


DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert f"`APPORTION_{name.upper()}`" in (DOCS / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("group", dataclasses.fields(Policy), ids=lambda group: group.name)
def test_every_figure_of_the_policy_is_documented_as_it_is(group: dataclasses.Field[Any]) -> None:
    page = (DOCS / "policy.md").read_text(encoding="utf-8")
    _, _, section = page.partition(f"\n## {group.name}\n")
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \| \w", section.partition("\n## ")[0], re.MULTILINE)

    said = {name: json.loads(value) for name, value in rows}
    figures = dataclasses.asdict(getattr(Policy(), group.name))
    assert said == json.loads(json.dumps(figures))
