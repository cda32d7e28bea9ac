"""Amounts of money in reports for programs: exact nUSD, and the same in USD."""

from collections.abc import Sequence
from typing import Any

from scheduler.domain.money import usd_from_nusd


def amount_columns(figures: Sequence[str]) -> list[str]:
    """What `amounts` has, in its order."""
    return [f"{figure}{unit}" for unit in ("_nusd", "_usd") for figure in figures]


def amounts(line: object, figures: Sequence[str]) -> dict[str, Any]:
    """*line*'s *figures*, each of which it has as an attribute that ends in `_nusd`."""
    nusd = {f"{figure}_nusd": getattr(line, f"{figure}_nusd") for figure in figures}
    return nusd | {f"{figure}_usd": usd_from_nusd(nusd[f"{figure}_nusd"]) for figure in figures}
