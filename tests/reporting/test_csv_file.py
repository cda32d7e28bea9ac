"""CSV files of documents: a cell may be far longer than what a reader of tables expects."""

import csv
import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from scheduler.reporting import csv_file
from scheduler.reporting.backtest.data import BadTable, read_outcomes
from scheduler.reporting.csv_file import read_csv

LONG = 'a line, and "more"\n' * 200_000
"""Nearly 4 MB: longer than what is parsed at once."""


@pytest.fixture(params=["items.csv", "items.csv.gz"])
def items(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="") as file:
        csv.writer(file).writerows(
            [["item_id", "text"], ["01", "short"], ["02", LONG], ["03", ""], ["04", LONG]]
        )
    return path


def test_a_long_document_is_read_whole(items: Path) -> None:
    found = read_csv(items, text={"item_id"}, empty_is_null=False)

    assert found["item_id"].to_pylist() == ["01", "02", "03", "04"]
    assert found["text"].to_pylist() == ["short", LONG, "", LONG]


def test_a_row_beyond_the_limit_is_refused_and_says_what_to_do(
    items: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "ROW_BYTES_MAX", 1 << 20)

    with pytest.raises(pa.ArrowInvalid, match="a row is longer than 1 MiB; shorten its text"):
        read_csv(items, text={"item_id"}, empty_is_null=False)


def test_a_fault_after_a_long_document_is_told_by_its_row(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["item_id", "text"], ["1", LONG], ["2", "b", "c"]])

    with pytest.raises(BadTable, match=r"items.csv: row 2 has 3 columns, and the header 2$"):
        read_outcomes(path, path)

    assert csv.field_size_limit() == 131_072
