"""How commands print: tables for people, JSON for programs."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from textwrap import wrap
from typing import Any
from uuid import UUID

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from scheduler.cli.terminal import harmless
from scheduler.domain.money import usd_text

MONEY = "_nusd"
WIDTH_IN_FILES = 200
NUMBER = re.compile(r"-?\$?-?[\d,]+(\.\d+)?%?")
NUMBER_OR_NONE = re.compile(rf"{NUMBER.pattern}|-")
BREAKS = re.compile(r"(?<=/)|(?=@)|(?<=-)(?=[a-z])|(?<=\s)(?=\S)")
"""Where a name may be broken: after a slash, before a region, after a hyphen, at a space."""


def plain(value: Any) -> Any:
    """*value* as JSON has it: dataclasses as objects, times in ISO 8601, decimals exact in text."""
    match value:
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(name): plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = (field.name for field in dataclasses.fields(value))
            return {name: plain(getattr(value, name)) for name in fields}
        case _:
            return value


def json_line(value: Any) -> str:
    """*value* as JSON on one line."""
    return json.dumps(plain(value), ensure_ascii=False)


def print_json(value: Any) -> None:
    """Print *value* as JSON that a person can read, too."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=2))


class _Name:
    """A cell's text, which a narrow column breaks where a name may be broken, and never cuts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = BREAKS.split(text)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_least_width(self.text), cell_len(self.text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for part in self._parts:
            if lines[-1] and cell_len(lines[-1] + part.rstrip()) > options.max_width:
                lines.append("")
            lines[-1] += part
        # Text: a name may have brackets, which rich would take for its markup.
        yield Text("\n".join(line.rstrip() for line in lines), overflow="fold")


def _least_width(name: str) -> int:
    return max(cell_len(part.rstrip()) for part in BREAKS.split(name))


class _Table(Table):
    """A table that is told row by row, a line for each cell, where it is too wide to be drawn."""

    cells: Sequence[Sequence[str]]
    names: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.__rich_measure__(console, options).minimum <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        yield Text(str(self.title), style="bold")
        widest = max(map(len, self.names))
        for row in self.cells:
            yield ""
            for name, cell in zip(self.names, row, strict=True):
                yield Text(f" {name:{widest}}  {cell}")
        yield ""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table; columns of numbers or money are set to the right and never broken."""
    cells = [[_cell(value) for value in row] for row in rows]
    made = _Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    made.cells, made.names = cells, columns
    for place, name in enumerate(columns):
        column = [row[place] for row in cells]
        if any(map(NUMBER.fullmatch, column)) and all(map(NUMBER_OR_NONE.fullmatch, column)):
            width = max(map(len, [*column, *name.split()]))
            heading = "\n".join(wrap(name, width))
            made.add_column(heading, justify="right", no_wrap=True, min_width=width)
        else:
            made.add_column(name, min_width=max(map(_least_width, column), default=0))
    for row in cells:
        made.add_row(*map(_Name, row))
    return made


def print_tables(tables: Iterable[Table]) -> None:
    """Print them on stdout, as wide as the terminal, or as wide as they are."""
    console = open_console()
    for made in tables:
        console.print(made)


def open_console(*, quiet: bool = False) -> Console:
    """Where people read: stdout, as wide as the terminal, or `WIDTH_IN_FILES`."""
    console = Console(highlight=False, quiet=quiet)
    if console.is_terminal:
        return console
    return Console(highlight=False, quiet=quiet, width=WIDTH_IN_FILES)


def duration_text(seconds: float | None) -> str:
    """*seconds* in the two largest of its units, like `3h 5m`; `-` for None.

    >>> duration_text(11_100), duration_text(4.2), duration_text(None)
    ('3h 5m', '4s', '-')
    """
    if seconds is None:
        return "-"
    rest = max(int(seconds), 0)
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def money_row(line: Any, columns: Sequence[str]) -> list[Any]:
    """*line*'s attributes *columns*; those in nUSD as a person reads money."""
    return [
        usd_text(getattr(line, name)) if name.endswith(MONEY) else getattr(line, name)
        for name in columns
    ]


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return harmless(str(value))
