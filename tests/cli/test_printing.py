"""Tables for people, in the terminals that people have."""

import io

import pytest
from rich.console import Console

from scheduler.cli.printing import table

NAMES = ("inhouse/extractive@local", "sandbox-south/sandbox-medium-south@us")
FIGURES = ("a fifth", 1_234, 3, "0.883", "0.712", "$0.1996605", "$0.338058")
COLUMNS = (
    "offer",
    "text kept",
    "jobs",
    "short of best",
    "quality",
    "at least",
    "cost",
    "set aside",
)


def printed(width: int) -> str:
    out = io.StringIO()
    rows = [(name, *FIGURES) for name in NAMES]
    Console(file=out, width=width).print(table("Where the jobs go", COLUMNS, rows))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_nothing_is_cut_and_no_number_broken(width: int) -> None:
    shown = printed(width)

    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for figure in ("1,234", "0.883", "$0.1996605", "$0.338058"):
        assert shown.count(figure) == len(NAMES)


def test_a_name_is_broken_where_a_person_would_break_it() -> None:
    first_column = [line[:15].strip() for line in printed(80).splitlines()]

    at = first_column.index("sandbox-south/")
    assert first_column[at : at + 4] == ["sandbox-south/", "sandbox-", "medium-south", "@us"]


def test_a_table_too_wide_for_the_terminal_is_told_row_by_row() -> None:
    shown = printed(60).splitlines()

    assert " offer          inhouse/extractive@local" in shown
    assert shown.count(" set aside      $0.338058") == len(NAMES)


def test_a_name_is_whole_where_there_is_room() -> None:
    assert all(name in printed(120) for name in NAMES)


def test_a_figure_that_is_missing_leaves_the_others_to_the_right() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(
        table("Costs", ("offer", "cost"), [("a", "$10.00"), ("b", None)])
    )

    assert "b           -" in out.getvalue()
