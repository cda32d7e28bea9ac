"""`apportion advise roi`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from scheduler.cli.advise import BadRange, ImpossibleRange, command


def advised(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(
        command, ["roi", "--samples", "1024", "--json", *arguments], catch_exceptions=False
    )
    assert done.exit_code == 0
    return dict(json.loads(done.output))


def test_the_input_with_the_wide_range_matters_most() -> None:
    answer = advised("--gain", "1:1.01", "--loss", "0:50", "--p", "0.8:0.81", "--price", "0.01")

    influences = answer["influences"]
    assert isinstance(influences, list)
    assert influences[0]["name"] == "loss"
    assert influences[0]["total"] > 0.9


def test_the_break_even_is_said_for_the_middle_of_the_ranges() -> None:
    answer = advised("--gain", "1", "--loss", "1", "--p", "0.5:0.9", "--price", "0.2")

    assert answer["break_even_p"] == pytest.approx(0.6)


def test_a_plot_is_drawn_on_request(tmp_path: Path) -> None:
    advised("--plot", str(tmp_path / "roi.png"))

    assert (tmp_path / "roi.png").read_bytes().startswith(b"\x89PNG")


def test_people_read_a_table_and_what_to_measure_first() -> None:
    done = CliRunner().invoke(command, ["roi", "--samples", "256"])

    assert done.exit_code == 0
    assert "Measure what a good answer is worth (G) first" in done.output


@pytest.mark.parametrize("text", ["a:b", "2:1", "1:2:3", "-1:1", "nan"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(BadRange, match="--gain"):
        advised("--gain", text)


def test_where_nothing_varies_nothing_is_to_be_measured() -> None:
    fixed = ("--gain", "1", "--loss", "0", "--p", "0.5", "--price", "0.1", "--samples", "64")
    done = CliRunner().invoke(command, ["roi", *fixed])

    assert "Nothing moves it" in done.output
    assert "Measure" not in done.output


def test_a_picture_of_no_kind_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["roi", "--plot", str(tmp_path / "a.txt")])

    assert done.exit_code == 2
    assert ".png or .svg" in done.output


def test_a_return_on_nothing_spent_is_refused() -> None:
    with pytest.raises(ImpossibleRange, match="--price"):
        advised("--of", "roi", "--price", "0:1")


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ImpossibleRange, match="--p"):
        advised("--p", "0.5:1.5")
