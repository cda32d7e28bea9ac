"""Estimates as analysts have them, one row per item and option, read into columns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from scheduler.domain.errors import Refused
from scheduler.domain.money import MOST_NUSD, NUSD_PER_USD
from scheduler.reporting.csv_file import read_csv

NEEDED = ("item_id", "option", "quality", "cost_usd")
OPTIONAL = ("group", "tokens")
TEXT = ("item_id", "option", "group")
MOST_OPTIONS = 32_000
CELLS_MOST = 400_000_000
"""Items x options: more than this would not fit in most machines' memory."""


class BadEstimates(Refused):
    """A file of estimates that cannot be used; *row* counts data rows from 1."""

    def __init__(self, path: Path, reason: str, *, row: int | None = None) -> None:
        where = f"{path}, row {row}" if row is not None else str(path)
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.row = row
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """A file of estimates: n items, m options.

    Attributes:
        items, options, groups: names, in the order in which they first come.
        quality: (n, m) float32, 0 where an item has no such option.
        cost_nusd: (n, m) int64, rounded up.
        eligible: (n, m) bool, whether the file has that option for that item.
        group: (n,) int32, into *groups*.
        tokens: (n, m) int64, or None where the file has none.
    """

    items: pa.Array
    options: list[str]
    groups: list[str]
    quality: NDArray[np.float32]
    cost_nusd: NDArray[np.int64]
    eligible: NDArray[np.bool_]
    group: NDArray[np.int32]
    tokens: NDArray[np.int64] | None


def read_table(path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> pa.Table:
    """The named columns of a CSV or Parquet file; others are left unread.

    Raises:
        BadEstimates: the file cannot be read as a table, or a column is missing.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            names = parquet.read_schema(path).names
            wanted = [name for name in (*needed, *optional) if name in names]
            table = parquet.read_table(path, columns=wanted)
        else:
            # Ids stay text, so that 007 is not 7; numbers are parsed below, where rows are known.
            table = read_csv(path, text=TEXT, empty_is_null=True)
            names = table.column_names
            table = table.select([name for name in (*needed, *optional) if name in names])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise BadEstimates(path, f"cannot be read as a table: {error}") from error
    missing = [name for name in needed if name not in names]
    if missing:
        raise BadEstimates(
            path, f"has no column {' and no '.join(missing)}; it has {', '.join(names)}"
        )
    return table


def read_estimates(path: Path) -> Estimates:
    """Read and check *path*.

    Raises:
        BadEstimates: it names the row at fault, or the column that is missing.
    """
    table = read_table(path, NEEDED, OPTIONAL)
    if not table.num_rows:
        raise BadEstimates(path, "has no rows")
    item, items = _coded(path, table, "item_id")
    option, options = _coded(path, table, "option")
    shape = (len(items), len(options))
    if len(options) > MOST_OPTIONS or shape[0] * shape[1] > CELLS_MOST:
        raise BadEstimates(path, f"has {shape[0]} items x {shape[1]} options; that is too many")
    quality = numbers(path, table, "quality")
    cost = numbers(path, table, "cost_usd", least=0.0, most=MOST_NUSD / NUSD_PER_USD)
    place = item.astype(np.int64) * shape[1] + option
    eligible = np.zeros(shape, np.bool_)
    eligible.ravel()[place] = True
    if int(np.count_nonzero(eligible)) != len(place):
        _refuse_duplicate(path, place, items, options, shape[1])
    tokens = None
    if "tokens" in table.column_names:
        tokens = _spread(np.ceil(numbers(path, table, "tokens", least=0.0)), place, shape, np.int64)
    group, groups = _groups(path, table, item, shape[0])
    return Estimates(
        items=items,
        options=options.to_pylist(),
        groups=groups,
        quality=_spread(quality, place, shape, np.float32),
        cost_nusd=_spread(nusd_up(cost), place, shape, np.int64),
        eligible=eligible,
        group=group,
        tokens=tokens,
    )


def _coded(path: Path, table: pa.Table, name: str) -> tuple[NDArray[np.int32], pa.Array]:
    """A text column as numbers into its distinct values, in the order they first come."""
    column = table.column(name).cast(pa.string())
    if column.null_count:
        row = int(pc.index(column.is_null(), True).as_py()) + 1
        raise BadEstimates(path, f"{name} is empty", row=row)
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary


def numbers(
    path: Path, table: pa.Table, name: str, *, least: float = -np.inf, most: float = np.inf
) -> NDArray[np.float64]:
    """A column of finite numbers between *least* and *most*.

    Raises:
        BadEstimates: some row has none; it is named.
    """
    column = table.column(name)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parsed(path, column, name)
    try:
        values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadEstimates(path, f"{name} is not a column of numbers: {error}") from error
    wrong = np.flatnonzero(~np.isfinite(values) | (values < least) | (values > most))
    if wrong.size:
        row = int(wrong[0])
        raise BadEstimates(path, f"{name} is {_shown(values[row])}", row=row + 1)
    return values


def _parsed(path: Path, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Text as numbers; pyarrow says that some text is no number, and here is looked up which."""
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        for row, text in enumerate(column.to_pylist(), start=1):
            try:
                float(text or "nan")
            except ValueError:
                reason = f"{name} is {text!r}, which is no number"
                raise BadEstimates(path, reason, row=row) from None
        raise


def _shown(value: Any) -> str:
    return "empty, or not a number" if np.isnan(value) else f"{value:g}, which is out of range"


def nusd_up(cost_usd: NDArray[np.float64]) -> NDArray[np.int64]:
    """USD as whole nUSD, rounded up.

    A decimal like 0.1 is not exact in binary; what is within that error of a whole nUSD is
    taken to be one, so that 0.1 USD is 100 000 000 nUSD and not one more.
    """
    nusd = cost_usd * NUSD_PER_USD
    nearest = np.rint(nusd)
    close = np.abs(nusd - nearest) <= 4 * np.finfo(np.float64).eps * nusd
    return np.where(close, nearest, np.ceil(nusd)).astype(np.int64)


def _spread(
    values: NDArray[Any], place: NDArray[np.int64], shape: tuple[int, int], dtype: Any
) -> NDArray[Any]:
    spread = np.zeros(shape, dtype)
    spread.ravel()[place] = values
    return spread


def _refuse_duplicate(
    path: Path, place: NDArray[np.int64], items: pa.Array, options: pa.Array, m: int
) -> None:
    order = np.argsort(place, kind="stable")
    again = order[1:][place[order][1:] == place[order][:-1]]
    row = int(again.min())
    item, option = divmod(int(place[row]), m)
    reason = f"item {items[item]} has option {options[option]} a second time"
    raise BadEstimates(path, reason, row=row + 1)


def _groups(
    path: Path, table: pa.Table, item: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int32], list[str]]:
    """Each item's group, which must be the same in all its rows; one group where none is given."""
    if "group" not in table.column_names:
        return np.zeros(count, np.int32), [""]
    column = table.column("group").cast(pa.string()).fill_null("")
    encoded = column.combine_chunks().dictionary_encode()
    row_group = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    group = np.zeros(count, np.int32)
    group[item[::-1]] = row_group[::-1]
    wrong = np.flatnonzero(group[item] != row_group)
    if wrong.size:
        reason = "its item is in another group in an earlier row"
        raise BadEstimates(path, reason, row=int(wrong[0]) + 1)
    return group, encoded.dictionary.to_pylist()
