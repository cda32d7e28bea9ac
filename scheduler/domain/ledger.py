"""The ledger's entries, and what they add up to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What an entry did.

    `reservation`: money set aside.  `release`: money given back.  `posting`: spent on an
    answer that was used.  `waste`: spent on one that was not.  `overrun`: billed beyond what
    was set aside and free; it is owed, and no budget had it.  `posting_credit`, `waste_credit`,
    `overrun_credit`: as much of what such an entry says was not to be paid after all.
    """

    RESERVATION = "reservation"
    RELEASE = "release"
    POSTING = "posting"
    WASTE = "waste"
    OVERRUN = "overrun"
    POSTING_CREDIT = "posting_credit"
    WASTE_CREDIT = "waste_credit"
    OVERRUN_CREDIT = "overrun_credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What entries add up to, in nUSD: `spent + reserved + free = limit` of every budget."""

    reserved_nusd: int = 0
    spent_nusd: int = 0
    overrun_nusd: int = 0

    def after(self, kind: EntryKind, amount_nusd: int) -> "Balance":
        """This balance after one more entry; spending draws on what was set aside."""
        return Balance(
            reserved_nusd=self.reserved_nusd + RESERVED_BY.get(kind, 0) * amount_nusd,
            spent_nusd=self.spent_nusd + SPENT_BY.get(kind, 0) * amount_nusd,
            overrun_nusd=self.overrun_nusd + OVERRUN_BY.get(kind, 0) * amount_nusd,
        )


Signs = Mapping[EntryKind, int]
"""How entries count towards a figure: 1, -1, or not at all."""

RESERVED_BY: Signs = {
    EntryKind.RESERVATION: 1,
    EntryKind.RELEASE: -1,
    EntryKind.POSTING: -1,
    EntryKind.WASTE: -1,
}
USED_BY: Signs = {EntryKind.POSTING: 1, EntryKind.POSTING_CREDIT: -1}
WASTE_BY: Signs = {EntryKind.WASTE: 1, EntryKind.WASTE_CREDIT: -1}
SPENT_BY: Signs = {**USED_BY, **WASTE_BY}
OVERRUN_BY: Signs = {EntryKind.OVERRUN: 1, EntryKind.OVERRUN_CREDIT: -1}
BILLED_BY: Signs = {**SPENT_BY, **OVERRUN_BY}
"""What calls cost, whether a budget had it or not."""

CREDIT_OF = {
    EntryKind.POSTING: EntryKind.POSTING_CREDIT,
    EntryKind.WASTE: EntryKind.WASTE_CREDIT,
    EntryKind.OVERRUN: EntryKind.OVERRUN_CREDIT,
}
"""What takes back what such an entry says."""


def balance(entries: Iterable[tuple[EntryKind, int]]) -> Balance:
    """What *entries* (kind, nUSD) add up to."""
    total = Balance()
    for kind, amount_nusd in entries:
        total = total.after(kind, amount_nusd)
    return total
