"""What an answer is worth: earnings, return, break-even, and expected net cost savings."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def earnings_usd(
    p: Floats, *, gain_usd: float | Floats, loss_usd: float | Floats, cost_usd: Floats
) -> Floats:
    """Expected earnings `G p - L (1 - p) - cost` of answers good with probability *p*."""
    return gain_usd * p - loss_usd * (1 - p) - cost_usd


def return_on_cost(
    p: Floats, *, gain_usd: float | Floats, loss_usd: float | Floats, cost_usd: Floats
) -> Floats:
    """Expected earnings per dollar of cost; infinite where an answer costs nothing."""
    earned = earnings_usd(p, gain_usd=gain_usd, loss_usd=loss_usd, cost_usd=cost_usd)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(cost_usd > 0, earned / cost_usd, np.sign(earned) * np.inf)


def break_even(*, gain_usd: float | Floats, loss_usd: float | Floats, cost_usd: Floats) -> Floats:
    """Probability of a good answer above which paying *cost_usd* earns; over 1: never."""
    with np.errstate(divide="ignore", invalid="ignore"):
        even = (loss_usd + cost_usd) / (gain_usd + loss_usd)
    # With nothing to gain or to lose there is no such probability.
    return np.where(np.isnan(even), np.inf, even)


def dearer_from(
    *, gain_usd: float, loss_usd: float, cheap_cost_usd: float, dear_cost_usd: float
) -> float:
    """How much more probable a good answer must be for the dearer offer to be worth it."""
    return (dear_cost_usd - cheap_cost_usd) / (gain_usd + loss_usd)


def net_savings_usd(
    shares: Floats, *, seconds_saved: Floats, wage_usd_per_hour: float, cost_usd: Floats
) -> Floats:
    """Expected net cost savings (ENCS), `R sum_k P_k S_k - cost`.

    Args:
        shares: (n, 3) probability that the answer is used, edited, ignored.
        seconds_saved: (3,) time saved by each; for an ignored answer it is negative, the
            time that reading it took.
        wage_usd_per_hour: what an hour of the reader's time costs.
    """
    return wage_usd_per_hour / 3600 * (shares @ seconds_saved) - cost_usd
