"""What a judge's scores are worth, by the answers that people scored as well."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PAIRS_PRIOR: Final = 10.0
"""So many answers, scored alike by judge and people, stand behind the judge before any was seen."""
SPREAD_PRIOR: Final = 0.05
"""Variance of those answers' scores."""
SLOPE_MAX: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How people would have scored what a judge scored: a line, drawn to "as the judge did".

    Attributes:
        middle: the judge's mean score.  offset: how much higher people's mean is.
        slope: how much people's scores rise with the judge's.
        pairs: answers that both have scored.
    """

    middle: float = 0.5
    offset: float = 0.0
    slope: float = 1.0
    pairs: int = 0

    def people_would_say(self, judged: Floats) -> Floats:
        """(n,) 0 to 1."""
        said = self.middle + self.offset + self.slope * (judged - self.middle)
        return np.clip(said, 0.0, 1.0)


def calibrated(judged: Floats, said: Floats) -> Calibration:
    """What n answers show that a judge (*judged*) and people (*said*) have scored, (n,) each.

    A judge may be milder or stricter than people, or see differences that they do not: both are
    learned.  With no pairs the judge is taken at its word.
    """
    pairs = len(judged)
    if not pairs:
        return Calibration()
    middle = float(judged.mean())
    offset = float((said - judged).sum()) / (pairs + PAIRS_PRIOR)
    apart = judged - middle
    prior = PAIRS_PRIOR * SPREAD_PRIOR
    slope = (float(apart @ (said - said.mean())) + prior) / (float(apart @ apart) + prior)
    return Calibration(
        middle=middle, offset=offset, slope=float(np.clip(slope, 0.0, SLOPE_MAX)), pairs=pairs
    )
