"""`apportion sandbox`: what it refuses before it serves; tests/workers has it serving."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from scheduler.cli.sandbox import NothingToSell, PortTaken, command
from workers.sandbox.faults import BadFaults


def failure(*arguments: str, **environ: str) -> BaseException | None:
    return CliRunner().invoke(command, [*arguments], env=environ).exception


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        error = failure("--port", str(port), "--bill", str(tmp_path / "bill.jsonl"))

    assert isinstance(error, PortTaken)
    assert f"127.0.0.1:{port}" in str(error)


def test_a_catalog_without_sandbox_has_nothing_to_serve(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        """\
providers:
  mine:
    protocol: extractive
    requests_per_minute: 1
    tokens_per_minute: 1
    concurrency: 1
    context_limit: 1
    output_limit: 1
    offers: [{model: extractive}]
"""
    )

    assert isinstance(failure(APPORTION_CATALOG=str(catalog)), NothingToSell)


@pytest.mark.parametrize("script", ["{", '{"rules": [{"fault": "often"}]}'])
def test_a_script_of_faults_is_read_before_anything_is_served(script: str) -> None:
    assert isinstance(failure("--faults", script), BadFaults)
