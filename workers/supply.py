"""How many calls to one offer are noted ahead of their being made."""

from collections import deque
from dataclasses import dataclass, field

from workers.inhand import InHand


@dataclass(slots=True, kw_only=True)
class Supply:
    """Jobs of one drain that are bound for one offer.

    Each call is noted in the database before it is made, so some must be noted ahead, or the
    offer waits for the database; but what was noted and not made when a worker dies has an
    unknown outcome.  So *ahead* doubles whenever the offer had to wait, and shrinks when half
    of it was not needed.

    Attributes:
        share: calls that may be under way.
        most: *ahead* never grows beyond it.
        fresh: jobs whose next call is not yet noted.
        out: calls noted, whose outcome is not yet here.
        ahead: how many calls are noted beyond those under way.
    """

    share: int
    most: int
    fresh: deque[InHand] = field(default_factory=deque)
    out: int = 0
    ahead: int = 0

    def __post_init__(self) -> None:
        self.ahead = self._least

    @property
    def _least(self) -> int:
        return max(1, self.share // 4)

    def wants_more(self) -> bool:
        """Whether noting more can no longer wait for other reasons to write."""
        return bool(self.fresh) and self.out <= self.share + self.ahead // 4

    def take(self) -> list[InHand]:
        """The jobs whose calls are to be noted now; *ahead* is adapted to how it went."""
        beyond = self.out - self.share
        if self.fresh and self.out and beyond < 0:
            self.ahead = min(2 * self.ahead, self.most)
        elif beyond > self.ahead // 2:
            self.ahead = max(self._least, self.ahead * 3 // 4)
        count = min(len(self.fresh), max(0, self.share + self.ahead - self.out))
        return [self.fresh.popleft() for _ in range(count)]
