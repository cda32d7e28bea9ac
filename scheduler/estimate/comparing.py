"""Whether a newly learned quality model is better than the one in use, on held-back outcomes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor
from scheduler.estimate.represented import Represented, quality_of

Floats = NDArray[np.float64]

LEAST_OUTCOMES: Final = 20
BINS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the comparison found.

    Attributes:
        is_better: whether the candidate should be used from now on.
        reason: why, or why not, as a sentence.
        outcomes: how many held-back outcomes were compared.
        current_loss, candidate_loss: mean cross-entropy of each.
        gain, error: how much less the candidate's is, and the standard error of that, over
            groups where documents come in groups.
        current_ece, candidate_ece: expected calibration error of each.
    """

    is_better: bool
    reason: str
    outcomes: int
    current_loss: float
    candidate_loss: float
    gain: float
    error: float
    current_ece: float
    candidate_ece: float

    def figures(self) -> dict[str, float | int | str | bool]:
        """The verdict as plain values, to be kept beside the version."""
        return {name: getattr(self, name) for name in self.__slots__}


def compare(
    current: Predictor,
    candidate: Predictor,
    held_back: Observations,
    *,
    caution: float = 1.0,
) -> Verdict:
    """Compare two predictors on outcomes that neither has learned from.

    The candidate is better only if its loss is lower by more than *caution* standard errors:
    a change that might be luck is no reason to change plans.
    """
    count = len(held_back.row)
    if count < LEAST_OUTCOMES:
        reason = f"{count} held-back outcomes are too few; {LEAST_OUTCOMES} are needed"
        return Verdict(
            is_better=False, reason=reason, outcomes=count, current_loss=np.nan,
            candidate_loss=np.nan, gain=0.0, error=0.0, current_ece=np.nan, candidate_ece=np.nan,
        )  # fmt: skip
    ours, theirs = predictions(current, held_back), predictions(candidate, held_back)
    score, weight = held_back.score, held_back.weights()
    losses, news = _losses(ours, score), _losses(theirs, score)
    gain, error = _mean_and_error(losses - news, weight, held_back)
    is_better = gain > caution * error
    found = f"the candidate's loss is lower by {gain:.4f} ± {error:.4f}"
    total = max(float(weight.sum()), 1e-12)
    return Verdict(
        is_better=bool(is_better),
        reason=found if is_better else f"{found}, which may be luck",
        outcomes=count,
        current_loss=float((weight * losses).sum() / total),
        candidate_loss=float((weight * news).sum() / total),
        gain=gain,
        error=error,
        current_ece=calibration_error(ours, score, weight),
        candidate_ece=calibration_error(theirs, score, weight),
    )


def predictions(predictor: Predictor, outcomes: Observations) -> Floats:
    """(n,) what *predictor* says of each outcome's document, task and offer."""
    said = np.empty(len(outcomes.row))
    described = Represented.of(outcomes)
    tasks, offers = np.asarray(outcomes.task), np.asarray(outcomes.offer)
    priors = np.full(len(said), np.nan) if outcomes.prior is None else outcomes.prior
    for task in np.unique(tasks).tolist():
        mine = np.flatnonzero(tasks == task)
        names, column = np.unique(offers[mine], return_inverse=True)
        known = np.full(len(names), np.nan)
        known[column] = priors[mine]
        documents, row = np.unique(outcomes.row[mine], return_inverse=True)
        quality = quality_of(
            described.part(documents), predictor, task=task, offers=names.tolist(), priors=known
        )
        said[mine] = quality.mean[row, column]
    return said


def calibration_error(predicted: Floats, score: Floats, weight: Floats) -> float:
    """Expected calibration error over `BINS` bins of equal width (Naeini et al. 2015)."""
    place = np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
    off = np.bincount(place, weights=weight * (predicted - score), minlength=BINS)
    return float(np.abs(off).sum() / max(float(weight.sum()), 1e-12))


def _losses(predicted: Floats, score: Floats) -> Floats:
    p = np.clip(predicted, 1e-4, 1 - 1e-4)
    return np.asarray(-(score * np.log(p) + (1 - score) * np.log1p(-p)))


def _mean_and_error(gains: Floats, weight: Floats, outcomes: Observations) -> tuple[float, float]:
    """Weighted mean of *gains*, and its standard error over documents or their groups."""
    total = max(float(weight.sum()), 1e-12)
    mean = float((weight * gains).sum() / total)
    cluster = outcomes.row
    if outcomes.group is not None:
        groups = np.asarray([str(outcomes.group[at]) for at in outcomes.row.tolist()])
        cluster = np.unique(groups, return_inverse=True)[1]
    _, at = np.unique(cluster, return_inverse=True)
    sums = np.bincount(at, weights=weight * (gains - mean))
    count = len(sums)
    return mean, float(np.sqrt((sums**2).sum() * count / max(1, count - 1)) / total)
