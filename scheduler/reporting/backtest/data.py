"""Items and outcomes from files, as columns, with every fault named by its row."""

import csv
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from scheduler.domain.errors import Refused
from scheduler.reporting.backtest.prices import cost_from_tokens
from scheduler.reporting.csv_file import ROW_BYTES_MAX, read_csv

Floats = NDArray[np.float64]

MOST_USD: Final = 10_000
"""What one answer may cost; whole nUSD of very many such answers are still numbers."""


class BadTable(Refused):
    """A file of items or outcomes that cannot be backtested."""

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """n items and what m models made of them.

    Attributes:
        items: (n,) ids, in the file's order.
        texts: (n,).
        columns: the items' other columns, as text.
        models: (m,) names.
        score: (n, m) 0 to 1, NaN where there is no outcome.
        cost_usd: (n, m), NaN where there is no outcome.
        answers: (n, m) of text, or None where the file has none.
    """

    items: tuple[str, ...]
    texts: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    models: tuple[str, ...]
    score: Floats
    cost_usd: Floats
    answers: NDArray[np.object_] | None

    def known(self) -> NDArray[np.bool_]:
        """(n, m) where there is an outcome."""
        return ~np.isnan(self.score)


def read_outcomes(
    items_path: Path, outcomes_path: Path, *, prices_path: Path | None = None
) -> Outcomes:
    """The items and outcomes in these files (.csv, .csv.gz or .parquet).

    Raises:
        BadTable: a column is missing, or a row is faulty; it names which.
    """
    items = _read(items_path, text={"item_id", "text"})
    _need(items, items_path, ("item_id", "text"))
    ids = tuple(items["item_id"].to_pylist())
    at = {name: place for place, name in enumerate(ids)}
    if len(at) < len(ids):
        first: dict[str, int] = {}
        for row, name in enumerate(ids, 1):
            if first.setdefault(name, row) != row:
                reason = f"row {row}: item_id {name!r} is there twice, first in row {first[name]}"
                raise BadTable(path=items_path, reason=reason)
    if "" in at or None in at:
        row = next(row for row, name in enumerate(ids, 1) if not name)
        raise BadTable(path=items_path, reason=f"row {row}, column item_id: it is empty")
    if not ids:
        raise BadTable(path=items_path, reason="there are no items")
    long = _read(outcomes_path, text={"item_id", "model", "answer"})
    score_column = "score" if "score" in long.column_names else "correct"
    _need(long, outcomes_path, ("item_id", "model", score_column))
    models = _models(long, outcomes_path)
    cells = _cells(long, outcomes_path, at=at, models=models)
    score = _scores(long, outcomes_path, score_column)
    cost = _costs(long, outcomes_path, prices_path)
    shape = (len(ids), len(models))
    kept = ~np.isnan(score) & ~np.isnan(cost)
    if not kept.any():
        raise BadTable(path=outcomes_path, reason="no row has both a score and a cost")
    wide_score, wide_cost = np.full(shape, np.nan), np.full(shape, np.nan)
    wide_score.ravel()[cells[kept]] = score[kept]
    wide_cost.ravel()[cells[kept]] = cost[kept]
    # Spreadsheets leave unnamed columns behind; of those that share a name, none can be meant.
    names = items.column_names
    others = [name for name in names if name not in ("item_id", "text") and names.count(name) == 1]
    return Outcomes(
        items=ids,
        texts=tuple(text or "" for text in items["text"].to_pylist()),
        columns={name: tuple(_as_text(one) for one in items[name].to_pylist()) for name in others},
        models=models,
        score=wide_score,
        cost_usd=wide_cost,
        answers=_answers(long, outcomes_path, cells, shape),
    )


def _models(long: pa.Table, path: Path) -> tuple[str, ...]:
    names = long["model"].to_pylist()
    if not all(names):
        # A choice without a model is an item put off.
        row = next(row for row, name in enumerate(names, 1) if not name)
        raise BadTable(path=path, reason=f"row {row}, column model: it is empty")
    return tuple(sorted(set(names)))


def _as_text(value: object) -> str:
    return "" if value is None else str(value)


def _read(path: Path, *, text: set[str]) -> pa.Table:
    """The table in *path*, with the columns in *text* as text."""
    if not path.is_file():
        raise BadTable(path=path, reason="there is no such file")
    try:
        if path.suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
            for name in text & set(table.column_names):
                place = table.column_names.index(name)
                table = table.set_column(place, name, table[name].cast(pa.string()))
            return table
        return read_csv(path, text=text, empty_is_null=False)
    except (pa.ArrowException, OSError) as error:
        reason = None if path.suffix == ".parquet" else _fault(path)
        raise BadTable(path=path, reason=reason or str(error)) from None


def _fault(path: Path) -> str | None:
    """Where the CSV in *path* goes wrong, by row and column; None where Python sees nothing."""
    opened = gzip.open if path.suffix == ".gz" else open
    usual = csv.field_size_limit(ROW_BYTES_MAX)
    try:
        # Every byte is a character of this encoding, so that the row is found, whatever it holds.
        with opened(path, "rt", encoding="latin-1", newline="") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            if not header:
                return "it is empty"
            if not _is_utf8("".join(header).encode("latin-1")):
                return "not in UTF-8; save the file as UTF-8"
            for row, cells in enumerate(lines, 1):
                if cells and len(cells) != len(header):
                    return f"row {row} has {len(cells)} columns, and the header {len(header)}"
                for name, cell in zip(header, cells, strict=False):
                    if not _is_utf8(cell.encode("latin-1")):
                        return f"row {row}, column {name}: not in UTF-8; save the file as UTF-8"
    except (csv.Error, OSError, EOFError):
        pass
    finally:
        csv.field_size_limit(usual)
    return None


def _is_utf8(said: bytes) -> bool:
    try:
        said.decode()
    except UnicodeDecodeError:
        return False
    return True


def _need(table: pa.Table, path: Path, names: Sequence[str]) -> None:
    for name in names:
        if table.column_names.count(name) > 1:
            raise BadTable(path=path, reason=f"there are two columns {name}; rename one")
    missing = [name for name in names if name not in table.column_names]
    if missing:
        have = ", ".join(table.column_names)
        commas = "; columns are parted by commas" if re.search(r"[;\t|]", have) else ""
        raise BadTable(
            path=path, reason=f"there is no column {' or '.join(missing)}; it has {have}{commas}"
        )


def _cells(
    long: pa.Table, path: Path, *, at: Mapping[str, int], models: tuple[str, ...]
) -> NDArray[np.int64]:
    """Where each outcome belongs in a matrix of items and models, flattened."""
    column = {name: place for place, name in enumerate(models)}
    cells = np.empty(len(long), np.int64)
    pairs = zip(long["item_id"].to_pylist(), long["model"].to_pylist(), strict=True)
    for row, (item, model) in enumerate(pairs):
        if item not in at:
            raise BadTable(
                path=path, reason=f"row {row + 1}: item_id {item!r} is not among the items"
            )
        cells[row] = at[item] * len(models) + column[model]
    order = np.argsort(cells, kind="stable")
    again = np.flatnonzero(np.diff(cells[order]) == 0)
    if len(again):
        row = int(order[again[0] + 1])
        item, model = long["item_id"][row].as_py(), long["model"][row].as_py()
        raise BadTable(
            path=path, reason=f"row {row + 1}: item {item!r} and model {model!r} are there twice"
        )
    return cells


def _numbers(long: pa.Table, path: Path, name: str) -> Floats:
    """Column *name* as numbers, NaN where it is empty."""
    column = long[name]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    except pa.ArrowException:
        for row, value in enumerate(column.to_pylist(), 1):
            if value not in (None, "") and not _is_number(value):
                reason = f"row {row}, column {name}: {value!r} is no number"
                raise BadTable(path=path, reason=reason) from None
        raise BadTable(path=path, reason=f"column {name} is not all numbers") from None


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _scores(long: pa.Table, path: Path, name: str) -> Floats:
    score = _numbers(long, path, name)
    wrong = np.flatnonzero(~(np.isnan(score) | ((score >= 0) & (score <= 1))))
    if len(wrong):
        row = int(wrong[0])
        raise BadTable(path=path, reason=f"row {row + 1}: {name} {score[row]} is not from 0 to 1")
    return score


def _costs(long: pa.Table, path: Path, prices_path: Path | None) -> Floats:
    """What each outcome cost, as given or from its tokens and the models' prices."""
    if "cost_usd" in long.column_names:
        _need(long, path, ("cost_usd",))
        cost = _numbers(long, path, "cost_usd")
    else:
        if not {"input_tokens", "output_tokens"} & set(long.column_names):
            _need(long, path, ("cost_usd",))
        _need(long, path, ("input_tokens", "output_tokens"))
        prices = None if prices_path is None else _price_table(prices_path)
        cost = cost_from_tokens(
            long["model"].to_pylist(),
            _numbers(long, path, "input_tokens"),
            _numbers(long, path, "output_tokens"),
            prices=prices,
        )
    wrong = np.flatnonzero(~np.isnan(cost) & ((cost < 0) | ~(cost <= MOST_USD)))
    if len(wrong):
        row = int(wrong[0])
        reason = f"row {row + 1}: a cost of {cost[row]} USD is not from 0 to {MOST_USD:,.0f}"
        raise BadTable(path=path, reason=reason)
    return cost


def _price_table(path: Path) -> dict[str, tuple[float, float]]:
    """USD per million input and output tokens, by model."""
    table = _read(path, text={"model"})
    names = ("model", "input_usd_per_million", "output_usd_per_million")
    _need(table, path, names)
    return {
        model: (asked, said)
        for model, asked, said in zip(
            table["model"].to_pylist(),
            _numbers(table, path, names[1]).tolist(),
            _numbers(table, path, names[2]).tolist(),
            strict=True,
        )
    }


def _answers(
    long: pa.Table, path: Path, cells: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.object_] | None:
    if "answer" not in long.column_names:
        return None
    _need(long, path, ("answer",))
    answers = np.full(shape[0] * shape[1], "", object)
    answers[cells] = [answer or "" for answer in long["answer"].to_pylist()]
    return answers.reshape(shape)
