"""A report that cannot be written is told before the work that it is about."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from scheduler.cli.main import apportion


@pytest.mark.parametrize("option", ["--html", "--choices"])
def test_a_backtest_does_not_begin_where_its_report_has_no_folder(
    option: str, tmp_path: Path
) -> None:
    table = tmp_path / "items.csv"
    table.write_text("this is no table")
    arguments = ["backtest", "--items", str(table), "--outcomes", str(table), option]

    said = CliRunner().invoke(apportion, [*arguments, str(tmp_path / "no" / "report")])

    assert said.exit_code == 2
    assert f"there is no folder {tmp_path / 'no'}" in " ".join(said.output.split())
