"""CSV files as columns, however long the documents in their cells are."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv

ROW_BYTES_MAX: Final = 64 << 20
"""Of one row, its document's text included."""
_BLOCK_BYTES: Final = 1 << 20
"""Small blocks are parsed side by side; but a row must fit into two of them."""


def read_csv(path: Path, *, text: Collection[str], empty_is_null: bool) -> pa.Table:
    """The table in *path* (.csv, .csv.gz); the columns in *text* are text.

    *empty_is_null*: whether an empty cell of text is null, and not "".

    Raises:
        pyarrow.ArrowInvalid: it is no table, or a row is longer than `ROW_BYTES_MAX`.
        OSError: it cannot be read.
    """
    cells = csv.ConvertOptions(
        column_types=dict.fromkeys(text, pa.string()), strings_can_be_null=empty_is_null
    )
    for block_bytes in (_BLOCK_BYTES, ROW_BYTES_MAX):
        try:
            return csv.read_csv(
                path,
                read_options=csv.ReadOptions(block_size=block_bytes),
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=cells,
            )
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
    raise pa.ArrowInvalid(
        f"a row is longer than {ROW_BYTES_MAX >> 20} MiB; shorten its text,"
        " and see whether a quotation mark before it is never closed"
    )
