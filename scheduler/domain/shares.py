"""How the calls that an offer takes at a time are divided among the workers that make them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """That *worker* may have *calls* calls under way, which the others leave to it."""

    worker: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one worker gets of an offer's concurrency.

    Attributes:
        calls: so many it may have under way from now on.
        claimed: so many the others leave to it; more than *calls* while calls end that it began
            with a larger share.
        is_full: as many workers as the offer takes calls were there before it.
    """

    calls: int
    claimed: int
    is_full: bool


def share_of(worker: str, claims: Sequence[Claim], *, limit: int, using: int) -> Share:
    """*worker*'s share of *limit* calls beside all *claims*, its own among them if it has one.

    *claims* are in the order in which they were first made, and *using* is how many calls the
    worker may have begun before it hears of this.  Nobody is given what another still uses; so
    the claims never add up to more than *limit*, and once everybody has heard, to just that.
    """
    rank = next((at for at, one in enumerate(claims) if one.worker == worker), len(claims))
    if rank >= limit:
        return Share(calls=0, claimed=using, is_full=True)
    others = [one for one in claims if one.worker != worker]
    workers = min(len(others) + 1, limit)
    # Those that came first get what a division leaves over.
    fair = limit // workers + (rank < limit % workers)
    free = limit - sum(one.calls for one in others)
    calls = max(0, min(fair, free))
    return Share(calls=calls, claimed=max(calls, using), is_full=False)
