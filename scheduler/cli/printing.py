"""How commands print: tables for people, JSON for programs."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scheduler.cli.terminal import harmless
from scheduler.domain.money import usd_text

MONEY = "_nusd"
WIDTH_IN_FILES = 200


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


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table; columns of numbers or money are set to the right and never broken."""
    cells = [list(row) for row in rows]
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for place, name in enumerate(columns):
        numeric = bool(cells) and all(_is_numeric(row[place]) for row in cells)
        made.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
    for row in cells:
        # Text: a name may have brackets, which rich would take for its markup.
        made.add_row(*(Text(_cell(value)) for value in row))
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


def _is_numeric(value: Any) -> bool:
    return isinstance(value, int | float) or str(value).startswith(("$", "-$"))


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
