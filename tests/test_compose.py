"""docker-compose.yml and the Dockerfile: what they name is there, and nothing is left open."""

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from scheduler.cli.main import COMMANDS
from scheduler.cli.supervise import END_S
from scheduler.domain.policy import WorkPolicy
from scheduler.settings import Settings

REPO = Path(__file__).parents[1]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((REPO / "docker-compose.yml").read_text())[
    "services"
]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "apportion"}
DOCKERFILE = (REPO / "Dockerfile").read_text()
CATALOG = (REPO / "scheduler" / "catalog" / "catalog.yaml").read_text()


def test_there_is_every_part_of_the_service() -> None:
    assert {"postgres", "kafka", "rabbitmq", "migrate", "scheduler", "workers"} <= set(SERVICES)
    assert set(OURS) == {"migrate", "scheduler", "workers"}


@pytest.mark.parametrize("name", OURS)
def test_a_process_runs_a_command_that_there_is(name: str) -> None:
    check = OURS[name]["healthcheck"].get("test", [])
    assert OURS[name]["command"][0] in COMMANDS
    assert not check or (check[1] == "apportion" and check[2] in COMMANDS)


@pytest.mark.parametrize("name", OURS)
def test_a_process_has_the_time_that_it_takes_to_end(name: str) -> None:
    grace_s = int(OURS[name]["stop_grace_period"].removesuffix("s"))
    assert grace_s > max(END_S, WorkPolicy().stop_s)


def test_the_image_is_built_once() -> None:
    # Builds of one image side by side can fail, each finding the other's there.
    [builder] = [name for name, service in OURS.items() if "build" in service]
    assert all(builder in OURS[name]["depends_on"] for name in set(OURS) - {builder})


def test_what_the_service_keeps_outlives_its_containers() -> None:
    [home] = re.findall(r"APPORTION_HOME=(\S+)", DOCKERFILE)
    # A new volume takes its owner from the image.
    assert f"install -d -o apportion {home} " in DOCKERFILE
    for service in OURS.values():
        assert f"home:{home}" in service["volumes"]


def test_a_database_that_is_still_being_made_is_not_taken_for_ready() -> None:
    # While the image makes it, a temporary server answers on the socket, and on no port.
    assert "--host=127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"]


@pytest.mark.parametrize("name", OURS)
def test_a_process_gets_only_settings_that_it_knows(name: str) -> None:
    known = {f"APPORTION_{field.upper()}" for field in Settings.model_fields}
    keys = set(re.findall(r"^    key_variable: (\w+)", CATALOG, re.MULTILINE))
    given = set(OURS[name]["environment"])

    assert {variable for variable in given if variable.startswith("APPORTION_")} <= known
    assert {variable for variable in given if not variable.startswith("APPORTION_")} == keys


def test_the_topics_made_are_those_that_the_service_uses() -> None:
    script = SERVICES["topics"]["command"][0]
    wanted = {field.default for name, field in Settings.model_fields.items() if "topic" in name}

    assert set(re.findall(r"documents\.\w+", script)) == wanted


def test_kafka_is_of_the_version_that_the_tests_run() -> None:
    pom = ElementTree.parse(REPO / "tests" / "kafka" / "pom.xml")
    versions = [
        dependency.findtext("{*}version")
        for dependency in pom.iter("{http://maven.apache.org/POM/4.0.0}dependency")
        if dependency.findtext("{*}groupId") == "org.apache.kafka"
    ]

    assert [f"apache/kafka:{version}" for version in versions] == [SERVICES["kafka"]["image"]]


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_listens_beyond_this_machine(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_waited_for_tells_when_it_is_ready(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert SERVICES[other].get("restart", "no") == "no"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_others_images_are_of_a_named_version(name: str) -> None:
    assert re.search(r":\d", SERVICES[name]["image"])


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\w+)", DOCKERFILE.split("FROM ")[-1], re.MULTILINE)
    assert users == ["apportion"]


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    copied = chain.from_iterable(
        line.split()[1:-1] for line in re.findall(r"^COPY (?!--).*", DOCKERFILE, re.MULTILINE)
    )
    allowed = re.findall(r"^!(.+)", (REPO / ".dockerignore").read_text(), re.MULTILINE)

    for source in copied:
        assert (REPO / source).exists()
        assert source in allowed


@pytest.mark.parametrize("package", ["scheduler", "workers"])
def test_an_installed_package_has_all_its_files(package: str) -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"][package]
    root = REPO / package
    shipped = set(chain.from_iterable(root.glob(pattern) for pattern in patterns))
    files = {file for file in root.rglob("*") if file.is_file() and "__pycache__" not in file.parts}

    assert {file for file in files if file.suffix != ".py"} <= shipped
