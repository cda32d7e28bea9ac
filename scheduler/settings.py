"""The environment's settings (`APPORTION_*`); read by the top floor and entry points alone."""

import dataclasses
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from scheduler.domain.errors import Refused
from scheduler.domain.policy import Policy

KAFKA_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
KAFKA_MECHANISMS = (
    "PLAIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "OAUTHBEARER",
    "GSSAPI",
    "AWS_MSK_IAM",
)


class BadSettings(Refused):
    """A setting is wrong; the message names it."""

    def __init__(self, problems: str) -> None:
        super().__init__(f"settings: {problems}")
        self.problems = problems


def _level(said: object) -> object:
    """A log level as logging calls it, whose own other names are taken too."""
    if not isinstance(said, str):
        return said
    return {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(said.upper(), said.upper())


class Settings(BaseSettings):
    """What the environment says.  With nothing set, everything is embedded.

    `kafka_options` is a JSON object passed through to kafka-python (`security_protocol`,
    `sasl_mechanism`, `ssl_cafile`...).  `policy` is a JSON object, or `policy_file` the path
    of one, with any of `scheduler.domain.policy`'s figures, as {"plan": {"window_s": 5}}.
    `embedding` is the folder of a sentence-embedding model, used wherever quality is predicted.
    `one_processor` lets a busy worker keep its threads on one processor.
    """

    model_config = SettingsConfigDict(
        env_prefix="APPORTION_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("apportion")))
    database_url: SecretStr | None = None
    broker_url: SecretStr | None = None
    kafka_bootstrap: str | None = None
    kafka_options: SecretStr | None = None
    kafka_group: str = "apportion"
    jobs_topic: str = "documents.jobs"
    results_topic: str = "documents.results"
    dead_topic: str = "documents.dead"
    feedback_topic: str = "documents.feedback"
    catalog: Path | None = None
    embedding: Path | None = None
    roots: str = ""
    policy: str = ""
    policy_file: Path | None = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_level)
    ] = "INFO"
    log_json: bool = False
    one_processor: bool = True

    @cached_property
    def document_roots(self) -> tuple[Path, ...]:
        """Directories under which a job's `path` may lie (`APPORTION_ROOTS`, separated by ':')."""
        return tuple(Path(root).resolve() for root in self.roots.split(":") if root)

    @cached_property
    def kafka(self) -> dict[str, Any]:
        """kafka-python's arguments for every client, `bootstrap_servers` among them.

        Raises:
            BadSettings: `APPORTION_KAFKA_OPTIONS` is not a JSON object, or names a protection
                that there is not.
        """
        options = _json_object("APPORTION_KAFKA_OPTIONS", self.kafka_options)
        # The client takes a protocol that it does not know for PLAINTEXT, and says nothing.
        protocol = options.get("security_protocol", "PLAINTEXT")
        _must_be_one("security_protocol", protocol, KAFKA_PROTOCOLS)
        if protocol.startswith("SASL_"):
            _must_be_one("sasl_mechanism", options.get("sasl_mechanism"), KAFKA_MECHANISMS)
        return {"bootstrap_servers": (self.kafka_bootstrap or "").split(",")} | options

    @cached_property
    def policies(self) -> Policy:
        """The operator's policy, the default figures where nothing is said.

        Raises:
            BadSettings: a figure is unknown or of the wrong type.
        """
        figures = _json_object("APPORTION_POLICY", SecretStr(self._said_policy()))
        if unknown := sorted(_keys(figures) - _keys(dataclasses.asdict(Policy()))):
            raise BadSettings(f"APPORTION_POLICY: there is no figure {', '.join(unknown)}")
        try:
            return TypeAdapter(Policy).validate_python(figures)
        except ValidationError as error:
            raise BadSettings(_problems(error)) from None

    def _said_policy(self) -> str:
        if self.policy_file is None:
            return self.policy
        try:
            return self.policy_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"APPORTION_POLICY_FILE {self.policy_file}: {error}") from None


def read_settings() -> Settings:
    """The settings of this process's environment.

    Raises:
        BadSettings: a value cannot be read; the value itself is not repeated.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise BadSettings(
            "; ".join(
                f"APPORTION_{str(problem['loc'][0]).upper()}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
        ) from None


def _json_object(name: str, value: SecretStr | None) -> dict[str, Any]:
    try:
        options = json.loads(value.get_secret_value()) if value and value.get_secret_value() else {}
    except json.JSONDecodeError:
        options = None
    if not isinstance(options, dict):
        raise BadSettings(f"{name} must be a JSON object")
    return options


def _must_be_one(option: str, said: object, known: tuple[str, ...]) -> None:
    if said not in known:
        *others, last = known
        raise BadSettings(
            f"APPORTION_KAFKA_OPTIONS: {option} must be {', '.join(others)} or {last}, in capitals"
        )


def _keys(figures: dict[str, Any]) -> set[str]:
    inner = {
        f"{name}.{key}"
        for name, group in figures.items()
        if isinstance(group, dict)
        for key in group
    }
    return inner | set(figures)


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"APPORTION_POLICY {'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    )
