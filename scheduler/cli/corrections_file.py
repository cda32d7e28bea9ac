"""A file of what calls really cost, as finance has it from a provider's bill."""

import csv
from collections.abc import Mapping, Sequence
from typing import TextIO
from uuid import UUID

from scheduler.domain.errors import Refused
from scheduler.domain.money import BadAmount, nusd_from_usd
from scheduler.store.corrections import Correction

CORRECTIONS_MAX = 100_000
"""Of one file, which is one transaction."""


class BadCorrections(Refused):
    """A file of corrections cannot be read as one; nothing was corrected."""

    def __init__(self, *, name: str, line: int, reason: str) -> None:
        super().__init__(f"{name}:{line}: {reason}; nothing was corrected")
        self.line = line


def read_corrections(lines: TextIO) -> list[Correction] | Mapping[str, int]:
    """The corrections in a CSV file, or costs (nUSD) by the provider's ids of its requests.

    Which of both is said by the column: attempt_id, or request_id where there is none such.

    Raises:
        BadCorrections: a line is none, or its call has one already.
    """
    rows = csv.DictReader(lines)
    costs: dict[str, int] = {}
    try:
        key = _key_column(rows.fieldnames or ())
        for row in rows:
            name = _name(key, row[key])
            if name in costs:
                raise ValueError(f"{key} {name} is corrected twice")
            if len(costs) == CORRECTIONS_MAX:
                raise ValueError(f"more than {CORRECTIONS_MAX} corrections in one file; split it")
            costs[name] = nusd_from_usd(row["cost_usd"])
    except (BadAmount, ValueError, csv.Error) as error:
        line = max(rows.line_num, 1)
        raise BadCorrections(name=lines.name, line=line, reason=f"{error}") from None
    if key == "request_id":
        return costs
    return [Correction(attempt_id=UUID(name), cost_nusd=nusd) for name, nusd in costs.items()]


def _key_column(names: Sequence[str]) -> str:
    keys = [name for name in ("attempt_id", "request_id") if name in names]
    missing = ["attempt_id or request_id"] * (not keys) + ["cost_usd"] * ("cost_usd" not in names)
    if missing:
        raise ValueError(f"the first line does not name {' and '.join(missing)}")
    return keys[0]


def _name(key: str, said: str | None) -> str:
    if key == "request_id" and said:
        return said
    try:
        return str(UUID(said or ""))
    except ValueError:
        raise ValueError(f"{said or ''!r} is no {key}") from None
