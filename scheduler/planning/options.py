"""What a job may be given: every offer that is on, with every reduction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.job import KEPT_PPM, Reduction
from scheduler.domain.policy import PlanPolicy
from scheduler.store.offers import PlanOffer
from scheduler.store.windows import TASKS

REDUCTIONS = tuple(Reduction)
PPM = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """m options: k offers, each with every reduction, in this order.

    Attributes:
        offer_of: (m,) int64, index into *offers*.
        kept: (m,) float64, the most of a document that the reduction keeps.
        quality_kept: (T, m) float32 by task, how much of the offer's quality is left; 0 where
            the offer does not take the task, or the reduction is not used for it.
    """

    offers: tuple[PlanOffer, ...]
    offer_of: NDArray[np.int64]
    kept: NDArray[np.float64]
    quality_kept: NDArray[np.float32]

    @property
    def count(self) -> int:
        """m."""
        return len(self.offer_of)

    def reduction(self, option: int) -> Reduction:
        return REDUCTIONS[option % len(REDUCTIONS)]


def make_options(offers: Sequence[PlanOffer], policy: PlanPolicy) -> Options:
    """The options that *offers* give."""
    quality_kept = np.zeros((len(TASKS), len(offers) * len(REDUCTIONS)), np.float32)
    for t, task in enumerate(TASKS):
        kept_ppm = {Reduction.NONE: PPM} | dict(policy.kept_quality_ppm.get(task, {}))
        for k, one in enumerate(offers):
            if task in one.tasks:
                for r, reduction in enumerate(REDUCTIONS):
                    share = kept_ppm.get(reduction, 0) / PPM
                    quality_kept[t, k * len(REDUCTIONS) + r] = share
    return Options(
        offers=tuple(offers),
        offer_of=np.repeat(np.arange(len(offers)), len(REDUCTIONS)),
        kept=np.tile([KEPT_PPM[reduction] / PPM for reduction in REDUCTIONS], len(offers)),
        quality_kept=quality_kept,
    )
