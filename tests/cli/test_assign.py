"""`apportion assign`: plans from a file, and errors that name the row."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from scheduler.cli.assign_reading import BadEstimates, nusd_up, read_estimates
from scheduler.cli.main import apportion

HEAD = "item_id,option,quality,cost_usd"
THREE = [
    HEAD,
    "a,cheap,0.5,1",
    "a,dear,0.9,3",
    "b,cheap,0.5,1",
    "b,dear,0.9,3",
    "c,cheap,0.5,1",
]


@pytest.fixture
def estimates(tmp_path: Path) -> Path:
    return written(tmp_path / "estimates.csv", THREE)


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def assign(*arguments: object) -> Result:
    return CliRunner().invoke(apportion, ["assign", *(str(each) for each in arguments)])


def answer(*arguments: object) -> dict[str, Any]:
    result = assign(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def plan_in(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_the_best_plan_under_a_budget_is_written_and_told(estimates: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.csv"

    found = answer(estimates, "--budget", 5, "--out", out)

    rows = plan_in(out)
    assert [row["item_id"] for row in rows] == ["a", "b", "c"]
    assert sorted(row["option"] for row in rows) == ["cheap", "cheap", "dear"]
    assert found["value"] == pytest.approx(1.9)
    assert (found["cost_usd"], found["deferred"], found["status"]) == (5.0, 0, "optimal")
    assert found["bound"] == pytest.approx(found["value"])
    assert set(found) >= {"value", "bound", "gap", "cost_usd", "deferred", "prices", "seconds"}
    assert found["prices"] == {"budget": pytest.approx(0.2)}


def test_what_the_money_does_not_cover_is_deferred_and_empty(
    estimates: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.csv"

    found = answer(estimates, "--budget", "2", "--out", out)

    rows = plan_in(out)
    assert found["deferred"] == 1
    assert sorted(row["option"] for row in rows) == ["", "cheap", "cheap"]
    assert [row["cost_usd"] for row in rows if not row["option"]] == [""]


def test_the_least_cost_serves_every_item_and_keeps_the_floor(estimates: Path) -> None:
    found = answer(estimates, "--objective", "cost", "--floor", "0.6")

    assert (found["cost_usd"], found["deferred"]) == (5.0, 0)
    assert found["value"] == pytest.approx(-5.0)
    assert answer(estimates, "--objective", "cost")["cost_usd"] == 3.0


def test_limits_that_exclude_each_other_are_named_and_exit_with_1(estimates: Path) -> None:
    limits = ("--objective", "cost", "--floor", "0.7", "--budget", "4")

    found = answer(estimates, *limits)

    assert found["status"] == "infeasible"
    assert {each["rule"] for each in found["conflict"]} == {"budget", "floor"}
    told = assign(estimates, *limits)
    assert told.exit_code == 1
    assert "no plan keeps every limit" in told.output


def test_each_group_keeps_its_own_budget(tmp_path: Path) -> None:
    lines = [f"{HEAD},group"] + [
        f"{line},{'legal' if line[0] == 'a' else 'sales'}" for line in THREE[1:]
    ]
    estimates = written(tmp_path / "estimates.csv", lines)
    budgets = written(tmp_path / "groups.csv", ["group,budget_usd", "legal,1", "sales,4"])

    found = answer(estimates, "--group-budgets", budgets)

    assert found["cost_usd"] == 5.0
    assert {row["name"]: row["use"] for row in found["rows"]} == {
        "group/legal": 1e9,
        "group/sales": 4e9,
    }


def test_parquet_gives_the_same_plan_as_csv(estimates: Path, tmp_path: Path) -> None:
    table = pa.table(
        {
            "item_id": ["a", "a", "b", "b", "c"],
            "option": ["cheap", "dear", "cheap", "dear", "cheap"],
            "quality": [0.5, 0.9, 0.5, 0.9, 0.5],
            "cost_usd": [1.0, 3.0, 1.0, 3.0, 1.0],
            "tokens": [10, 20, 10, 20, 10],
        }
    )
    path, out = tmp_path / "estimates.parquet", tmp_path / "plan.parquet"
    parquet.write_table(table, path)

    found = answer(path, "--budget", 5, "--out", out)

    assert found["value"] == answer(estimates, "--budget", 5)["value"]
    assert found["tokens"] == 40
    assert parquet.read_table(out).column_names[:2] == ["item_id", "option"]


def test_a_picture_of_the_front_is_drawn(estimates: Path, tmp_path: Path) -> None:
    picture = tmp_path / "front.png"

    found = answer(estimates, "--budget", 5, "--frontier", picture)

    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert {single["option"] for single in found["single_options"]} == {"cheap", "dear"}
    assert found["frontier"][-1]["cost_usd"] == 7.0


@pytest.mark.parametrize(
    ("line", "row", "reason"),
    [
        ("a,new,nan,1", 6, "quality"),
        ("a,new,,1", 6, "quality"),
        ("a,new,0.5,-1", 6, "cost_usd is -1"),
        ("a,new,0.5,inf", 6, "cost_usd"),
        ("a,new,0.5,much", 6, "cost_usd is 'much'"),
        ("a,dear,0.5,1", 6, "item a has option dear a second time"),
        (",dear,0.5,1", 6, "item_id is empty"),
        ("a,,0.5,1", 6, "option is empty"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, line: str, row: int, reason: str) -> None:
    path = written(tmp_path / "estimates.csv", [*THREE, line])

    with pytest.raises(BadEstimates, match=reason) as refused:
        read_estimates(path)

    assert refused.value.row == row


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["item_id,option,quality", "a,b,1"], "no column cost_usd"),
        ([HEAD], "no rows"),
        ([f"{HEAD},group", "a,x,1,1,g", "a,y,1,1,h"], "another group"),
    ],
)
def test_a_file_that_is_no_estimates_is_refused(
    tmp_path: Path, lines: list[str], reason: str
) -> None:
    with pytest.raises(BadEstimates, match=reason):
        read_estimates(written(tmp_path / "estimates.csv", lines))


def test_a_budget_for_a_group_without_items_is_named(estimates: Path, tmp_path: Path) -> None:
    budgets = written(tmp_path / "groups.csv", ["group,budget_usd", "nobody,1"])

    refused = assign(estimates, "--group-budgets", budgets).exception

    assert isinstance(refused, BadEstimates)
    assert refused.row == 1


def test_ids_stay_text(tmp_path: Path) -> None:
    read = read_estimates(written(tmp_path / "estimates.csv", [HEAD, "007,1,0.5,1", "7,1,0.5,1"]))

    assert read.items.to_pylist() == ["007", "7"]


def test_dollars_become_whole_nusd_rounded_up_but_for_binary_error() -> None:
    usd = np.array([0.1, 0.000123, 1e-9, 1.5e-9, 1000.0, 0.0])

    assert nusd_up(usd).tolist() == [100_000_000, 123_000, 1, 2, 10**12, 0]
