"""The ledger's entries, and what they add up to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What an entry did.

    `reservation`: money set aside.  `release`: money given back.  `posting`: spent on an
    answer that was used.  `waste`: spent on one that was not.  `overrun`: billed beyond what
    was set aside and free; it is owed, and no budget had it.
    """

    RESERVATION = "reservation"
    RELEASE = "release"
    POSTING = "posting"
    WASTE = "waste"
    OVERRUN = "overrun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What entries add up to, in nUSD: `spent + reserved + free = limit` of every budget."""

    reserved_nusd: int = 0
    spent_nusd: int = 0
    overrun_nusd: int = 0

    def after(self, kind: EntryKind, amount_nusd: int) -> "Balance":
        """This balance after one more entry; spending draws on what was set aside."""
        reserved, spent = RESERVED_BY[kind] * amount_nusd, SPENT_BY[kind] * amount_nusd
        return Balance(
            reserved_nusd=self.reserved_nusd + reserved,
            spent_nusd=self.spent_nusd + spent,
            overrun_nusd=self.overrun_nusd + (amount_nusd if kind is EntryKind.OVERRUN else 0),
        )


RESERVED_BY = {
    EntryKind.RESERVATION: 1,
    EntryKind.RELEASE: -1,
    EntryKind.POSTING: -1,
    EntryKind.WASTE: -1,
    EntryKind.OVERRUN: 0,
}
SPENT_BY = {
    EntryKind.RESERVATION: 0,
    EntryKind.RELEASE: 0,
    EntryKind.POSTING: 1,
    EntryKind.WASTE: 1,
    EntryKind.OVERRUN: 0,
}


def balance(entries: Iterable[tuple[EntryKind, int]]) -> Balance:
    """What *entries* (kind, nUSD) add up to."""
    total = Balance()
    for kind, amount_nusd in entries:
        total = total.after(kind, amount_nusd)
    return total
