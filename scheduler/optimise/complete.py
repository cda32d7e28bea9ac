"""From prices to whole numbers: mend what is broken at the least loss, then spend what is left.

At good prices nearly every job has a clear choice, and what those choices use is off the
rows' limits by a few jobs.  Only jobs whose best options are close are looked at.
"""

from collections.abc import Callable

import numpy as np

from scheduler.optimise import moves
from scheduler.optimise.kernels import Floats, Indices
from scheduler.optimise.unclear import Unclear

SWEEPS = 40
MOVES_PER_JOB = 4
"""How many options of a job are looked at, on the average; unless all jobs are."""

MORE = 6
"""How many times as many jobs are looked at when those in hand could not mend a row."""

LISTED = 200_000
"""The most moves that one sweep tries where all jobs are looked at."""


def complete(
    unclear_at: Callable[[int], Unclear], *, choice: Indices, count: int
) -> Indices | None:
    """A plan near *choice* (n,) that keeps every row; None where none was found.

    *unclear_at(count)* gives the *count* least clear jobs; more are looked at while need be.
    """
    while True:
        unclear = unclear_at(count)
        if repair(unclear):
            improve(unclear)
            return unclear.plan(choice)
        if unclear.everything:
            return None
        count *= MORE


def repair(unclear: Unclear) -> bool:
    """Mend every row, at the least loss per unit mended; whether that was possible."""
    losses = _cheap_losses(unclear)
    rates = np.empty_like(losses)
    for _ in range(SWEEPS):
        if not unclear.broken:
            return True
        moves.rate_repairs(
            unclear.chosen, losses, *unclear.tables, unclear.use, unclear.excess, rates
        )
        if not _sweep(unclear, rates, repairing=True, gains=losses, rates=rates):
            break
    return not unclear.broken


def _cheap_losses(unclear: Unclear) -> Floats:
    """What every option loses at the prices; infinite for all but the cheapest few a job."""
    losses: Floats = unclear.reduced.max(axis=1, keepdims=True) - unclear.reduced
    kept = MOVES_PER_JOB * len(losses)
    if kept < losses.size and not unclear.everything:
        own = np.take_along_axis(losses, unclear.chosen[:, None], axis=1)
        losses[losses > np.partition(losses.ravel(), kept)[kept]] = np.inf
        np.put_along_axis(losses, unclear.chosen[:, None], own, axis=1)
    return losses


def improve(unclear: Unclear) -> None:
    """Spend what the rows leave, on the moves that gain most at the prices."""
    for _ in range(SWEEPS):
        own = np.take_along_axis(unclear.plain, unclear.chosen[:, None], axis=1)
        lost = unclear.reduced.max(axis=1, keepdims=True) - unclear.reduced
        order = np.where(unclear.plain > own, lost, np.inf)
        if not _sweep(unclear, order, repairing=False, gains=unclear.plain, rates=order):
            break


def _sweep(
    unclear: Unclear, order: Floats, *, repairing: bool, gains: Floats, rates: Floats
) -> int:
    """Try the moves by rising *order* (infinite: not at all); how many were made."""
    flat = order.ravel()
    listed = np.flatnonzero(np.isfinite(flat))
    most = LISTED if unclear.everything else MOVES_PER_JOB * len(order)
    if len(listed) > most:
        listed = listed[np.argpartition(flat[listed], most)[:most]]
    listed = listed[np.argsort(flat[listed], kind="stable")]
    job, option = np.divmod(listed, order.shape[1])
    state = (unclear.use, unclear.excess)
    return int(
        moves.sweep(job, option, repairing, unclear.chosen, gains, rates, *unclear.tables, *state)
    )
