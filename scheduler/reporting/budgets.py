"""The budget report: what each budget bore, proved from the ledger."""

from collections.abc import Iterable, Sequence
from typing import Any

from scheduler.domain.errors import Broken
from scheduler.reporting.amounts import amount_columns, amounts
from scheduler.store.reports import BudgetStanding

FIGURES = ("limit", "spent", "reserved", "free", "unknown", "waste", "judging", "overrun")
"""Unknown is part of reserved, waste and judging of spent; overrun is beyond the limit."""

COLUMNS = ("scope", "kind", "starts_on", "ends_on", *amount_columns(FIGURES), "is_proven")
"""What `row` has, in its order."""


class LedgerMismatch(Broken):
    """A budget's own figures are not what its ledger entries add up to."""

    def __init__(self, standings: Sequence[BudgetStanding]) -> None:
        super().__init__("; ".join(map(_mismatch, standings)))
        self.standings = standings


def check_proven(standings: Iterable[BudgetStanding]) -> None:
    """Check every budget against the ledger.

    Raises:
        LedgerMismatch: some differ, be it by a nano-dollar.
    """
    wrong = [standing for standing in standings if not standing.is_proven]
    if wrong:
        raise LedgerMismatch(wrong)


def row(standing: BudgetStanding) -> dict[str, Any]:
    """One line of the report for programs: exact nUSD, and the same in USD."""
    days = {
        "scope": standing.scope,
        "kind": standing.kind,
        "starts_on": standing.starts_on,
        "ends_on": standing.ends_on,
    }
    return days | amounts(standing, FIGURES) | {"is_proven": standing.is_proven}


def _mismatch(standing: BudgetStanding) -> str:
    wrong = ", ".join(standing.mismatches())
    return f"budget {standing.scope} from {standing.starts_on}: {wrong}"
