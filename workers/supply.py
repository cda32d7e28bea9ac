"""How many calls to one offer are noted ahead of their being made."""

from collections import deque
from dataclasses import dataclass, field

from workers.inhand import InHand
from workers.prompts import Prompt

GROWTH = 8
"""How many times as many calls are noted ahead once an offer ran dry."""


@dataclass(slots=True, kw_only=True)
class Supply:
    """Jobs of one drain that are bound for one offer.

    Each call is noted in the database before it is made, so some must be noted ahead, or the
    offer waits for the database; but what was noted and not made when a worker dies has an
    unknown outcome.  So *ahead* grows `GROWTH` times whenever the offer ran dry while the next
    calls were being noted, and shrinks when half of it was not needed in the time between two
    flushes that nothing hurried.

    Attributes:
        share: calls that may be under way; it changes with what other workers take.
        most: *ahead* never grows beyond it.
        fresh: jobs whose document is not yet read.
        being_read: how many more there are whose document is read just now.
        ready: jobs with what is to be sent for them, to be noted.
        out: calls noted, whose outcome is not yet here.
        ahead: how many calls are noted beyond those under way.
    """

    share: int
    most: int
    fresh: deque[InHand] = field(default_factory=deque)
    being_read: int = 0
    ready: deque[tuple[InHand, Prompt]] = field(default_factory=deque)
    out: int = 0
    ahead: int = 0

    def __post_init__(self) -> None:
        self.ahead = self._least

    @property
    def _least(self) -> int:
        return max(1, self.share // 4)

    @property
    def _more(self) -> int:
        """What *ahead* is once the offer ran dry."""
        return min(GROWTH * self.ahead, self.most)

    @property
    def waiting(self) -> int:
        """Jobs whose next call is not yet noted."""
        return len(self.fresh) + self.being_read + len(self.ready)

    @property
    def target(self) -> int:
        """How many calls are to be out; none where none may be under way."""
        return self.share + self.ahead if self.share else 0

    def wants_more(self) -> bool:
        """Whether noting more can no longer wait for other reasons to write."""
        # Half is made while the other half is noted: so neither waits for the other.
        is_short = self.out <= self.share + self.ahead // 2
        return is_short and self.share > 0 and bool(self.ready)

    def wants_ready(self) -> int:
        """How many more documents are to be read, so that the next note need not wait.

        As many as it takes even if the offer runs dry until then.
        """
        soon = self.share + self._more
        return min(len(self.fresh), max(0, soon - len(self.ready)))

    def leave(self) -> list[InHand]:
        """All jobs that wait here and are not being read: they are to go elsewhere."""
        hands = [*self.fresh, *(hand for hand, _ in self.ready)]
        self.fresh.clear()
        self.ready.clear()
        return hands

    def shrink(self) -> None:
        """Note fewer ahead from now on, if half of them was not needed."""
        if self.out - self.share > self.ahead // 2:
            self.ahead = max(self._least, self.ahead * 3 // 4)

    def take(self) -> list[tuple[InHand, Prompt]]:
        """The jobs whose calls are to be noted now."""
        count = min(len(self.ready), max(0, self.target - self.out))
        return [self.ready.popleft() for _ in range(count)]

    def noted(self, count: int) -> None:
        """Add *count* calls that may go out now; more are noted ahead if these came too late."""
        is_dry = self.out < self.share
        if is_dry and (self.fresh or self.ready):
            self.ahead = self._more
        self.out += count
