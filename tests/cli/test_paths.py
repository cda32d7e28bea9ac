"""A report that cannot be written is told before the work that it is about."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from scheduler.cli.main import apportion


@pytest.mark.parametrize("option", ["--html", "--choices"])
def test_a_backtest_does_not_begin_where_its_report_can_have_no_folder(
    option: str, tmp_path: Path
) -> None:
    (tmp_path / "no").write_text("a file")
    table = tmp_path / "items.csv"
    table.write_text("this is no table")
    arguments = ["backtest", "--items", str(table), "--outcomes", str(table), option]

    said = CliRunner().invoke(apportion, [*arguments, str(tmp_path / "no" / "report")])

    assert said.exit_code == 2
    assert f"the folder {tmp_path / 'no'} cannot be made" in " ".join(said.output.split())


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    plot = tmp_path / "reports" / "november" / "roi.svg"

    said = CliRunner().invoke(apportion, ["advise", "roi", "--samples", "64", "--plot", str(plot)])

    assert said.exit_code == 0, said.output
    assert plot.exists()


def test_a_demo_without_its_documents_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    said = CliRunner().invoke(apportion, ["demo"])

    assert "a clone of the project" in str(said.exception)
