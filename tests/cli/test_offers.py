"""`apportion offers`, as a person and as a program reads it."""

import json

import pytest
from click.testing import CliRunner

from scheduler.cli.offers import command


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "APPORTION_CATALOG"):
        monkeypatch.delenv(name, raising=False)


def test_a_person_sees_prices_and_what_to_do() -> None:
    shown = CliRunner().invoke(command, ["--date", "2026-11-24"])

    assert shown.exit_code == 0
    assert "Offers on 2026-11-24" in shown.output
    assert "set OPENAI_API_KEY to its API key" in shown.output


def test_a_program_sees_all_but_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    shown = CliRunner().invoke(command, ["--json", "--on", "--date", "2026-11-24"])

    assert "sk-secret" not in shown.output
    offers = {one["name"]: one for one in json.loads(shown.output)["offers"]}
    luna = offers["openai/gpt-6-luna"]
    assert (luna["input_pusd"], luna["output_pusd"]) == (100_000, 500_000)
    assert luna["off_reason"] is None
    assert "anthropic/claude-opus-5-5" not in offers


def test_the_shipped_file_is_where_ones_own_begins(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    mine = tmp_path_factory.mktemp("catalog") / "catalog.yaml"
    mine.write_text(CliRunner().invoke(command, ["--shipped"]).output)

    shown = CliRunner().invoke(command, ["--catalog", str(mine), "--json"])

    assert shown.exit_code == 0
    assert json.loads(shown.output)["offers"]
