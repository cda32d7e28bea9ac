"""The money of one job while it is worked on: what it may use, what is kept, what is gone."""

from typing import NamedTuple


class Purse(NamedTuple):
    """All in nUSD; `free + held` is the job's reservation.

    Attributes:
        free_nusd: set aside for calls, and not yet spent.
        held_nusd: kept for calls whose outcome or price is unknown.
        spent_nusd: billed so far, waste and overrun included.
    """

    free_nusd: int
    held_nusd: int = 0
    spent_nusd: int = 0

    def billed(self, cost_nusd: int) -> tuple["Purse", int]:
        """This purse after a bill, and how much of the bill it could not pay."""
        paid_nusd = min(cost_nusd, self.free_nusd)
        after = Purse(
            free_nusd=self.free_nusd - paid_nusd,
            held_nusd=self.held_nusd,
            spent_nusd=self.spent_nusd + cost_nusd,
        )
        return after, cost_nusd - paid_nusd

    def holding(self, reserved_nusd: int) -> "Purse":
        """This purse after a call for which *reserved_nusd* was meant ended unknown."""
        assert reserved_nusd <= self.free_nusd, (reserved_nusd, self)
        return Purse(
            free_nusd=self.free_nusd - reserved_nusd,
            held_nusd=self.held_nusd + reserved_nusd,
            spent_nusd=self.spent_nusd,
        )

    def filled(self, granted_nusd: int) -> "Purse":
        """This purse with *granted_nusd* more set aside."""
        return Purse(
            free_nusd=self.free_nusd + granted_nusd,
            held_nusd=self.held_nusd,
            spent_nusd=self.spent_nusd,
        )

    def lacks(self, needed_nusd: int) -> int:
        """How much more a call needs than is free."""
        return max(0, needed_nusd - self.free_nusd)

    def may_take(self, asked_nusd: int, *, max_cost_nusd: int | None) -> bool:
        """Whether *asked_nusd* more keep the job within the most that it may cost.

        What is held may turn out to be spent, so it counts.
        """
        if max_cost_nusd is None:
            return True
        return self.spent_nusd + self.held_nusd + self.free_nusd + asked_nusd <= max_cost_nusd
