"""What plans brought in truth, beside the simple things that anyone could do."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Choice = NDArray[np.int32]

CALIBRATION_BINS: Final = 10
LEAST_GROUPS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """What a choice brought on the items that have an outcome for it, per item.

    Attributes:
        quality, cost_usd: means over the scored items; a deferred item scores and costs 0.
        scored: how many items those are.
    """

    quality: float
    cost_usd: float
    scored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """Always the same model: mean quality and cost per item that has an outcome for it."""

    model: str
    quality: float
    cost_usd: float
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A plan's quality less that of the best mixture of single models at the same cost.

    Attributes:
        error: its standard error, over groups where items come in groups; at least one item's
            worth.
    """

    gain: float
    error: float

    @property
    def is_worse(self) -> bool:
        """Whether the plan is significantly worse: by more than two standard errors."""
        return self.gain < -2 * self.error - 1e-12


def realised(choice: Choice, score: Floats, cost_usd: Floats) -> Realised:
    """What *choice* (n,) brought, by the outcomes *score* and *cost_usd* (n, m)."""
    got, paid = picked(choice, score), picked(choice, cost_usd)
    known = ~np.isnan(got) & ~np.isnan(paid)
    if not known.any():
        return Realised(quality=np.nan, cost_usd=np.nan, scored=0)
    return Realised(
        quality=float(got[known].mean()),
        cost_usd=float(paid[known].mean()),
        scored=int(known.sum()),
    )


def picked(choice: Choice, table: Floats) -> Floats:
    """(n,) each item's entry of *table* (n, m) for its choice.

    A deferred item has 0; NaN if nothing at all is known of it, like every choice then.
    """
    rows = np.arange(len(choice))
    nothing = np.where(np.isnan(table).all(1), np.nan, 0.0)
    return np.where(choice < 0, nothing, table[rows, np.maximum(choice, 0)])


def singles(models: tuple[str, ...], score: Floats, cost_usd: Floats) -> list[Single]:
    """Every model by itself, cheapest first; models without outcomes are left out."""
    found = []
    for at, model in enumerate(models):
        known = ~np.isnan(score[:, at]) & ~np.isnan(cost_usd[:, at])
        if known.any():
            found.append(
                Single(
                    model=model,
                    quality=float(score[known, at].mean()),
                    cost_usd=float(cost_usd[known, at].mean()),
                    items=int(known.sum()),
                )
            )
    return sorted(found, key=lambda one: (one.cost_usd, -one.quality))


def best_single(found: list[Single]) -> Single:
    """The best of them; of equals, the cheapest."""
    return max(found, key=lambda one: (one.quality, -one.cost_usd))


def mixture(found: list[Single], cost_usd: float) -> tuple[str, str, float] | None:
    """The best mixture of two single models at *cost_usd* per item, known in hindsight.

    Returns the cheaper model, the dearer one, and the share of the dearer; None where even
    the cheapest model costs more.
    """
    best: tuple[float, tuple[str, str, float]] | None = None
    for low in found:
        if low.cost_usd > cost_usd * (1 + 1e-9):
            continue
        for high in found:
            if high.cost_usd <= low.cost_usd and high is not low:
                continue
            gap = high.cost_usd - low.cost_usd
            share = 0.0 if gap <= 0 else min(1.0, (cost_usd - low.cost_usd) / gap)
            value = low.quality + share * (high.quality - low.quality)
            if best is None or value > best[0] + 1e-12:
                best = (value, (low.model, high.model, share))
    return None if best is None else best[1]


def against_mixture(
    choice: Choice,
    score: Floats,
    cost_usd: Floats,
    *,
    models: tuple[str, ...],
    groups: NDArray[np.int64] | None = None,
) -> Against | None:
    """How the plan did against the best mixture of single models at the plan's own cost.

    The mixture is found in hindsight, on the very outcomes it is judged by.
    """
    found = singles(models, score, cost_usd)
    got = realised(choice, score, cost_usd)
    mixed = mixture(found, got.cost_usd) if got.scored else None
    if mixed is None:
        return None
    low, high, share = models.index(mixed[0]), models.index(mixed[1]), mixed[2]
    simple = (1 - share) * score[:, low] + share * score[:, high]
    off = picked(choice, score) - simple
    known = ~np.isnan(off)
    if known.sum() < 2:
        return None
    off = off[known]
    # A plan cannot be divided more finely than by an item, and a mixture can.
    error = max(mean_error(off, groups, known), 1 / len(off))
    return Against(gain=float(off.mean()), error=error)


def mean_error(values: Floats, groups: NDArray[np.int64] | None, known: NDArray[np.bool_]) -> float:
    """Standard error of the mean of *values*, which are those items that are *known*.

    Over groups, unless these are so few that their spread says nothing.
    """
    off = values - values.mean()
    if groups is not None and len(np.unique(groups[known])) >= LEAST_GROUPS:
        _, at = np.unique(groups[known], return_inverse=True)
        off = np.bincount(at, weights=off)
    count = len(off)
    return float(np.sqrt((off**2).sum() * count / max(1, count - 1)) / len(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Predictions beside what came of them.

    Attributes:
        ece: expected calibration error over `CALIBRATION_BINS` bins of equal width, all
            (item, model) pairs together (Naeini et al. 2015).
        model_ece: the same per model, averaged.
        brier: mean squared error.
        plain_brier: the same for each model's mean on the training items.
        bins: (predicted, realised, count) of each bin that has any.
        covered: share of (model, bin) cells whose realised mean is above the lower bound's.
    """

    ece: float
    model_ece: float
    brier: float
    plain_brier: float
    bins: tuple[tuple[float, float, int], ...]
    covered: float


def calibration(predicted: Floats, lower: Floats, plain: Floats, score: Floats) -> Calibration:
    """How *predicted* (n, m) and its *lower* bound stood against *score* (n, m, NaN unknown)."""
    known = ~np.isnan(score)
    p, y = predicted[known], score[known]
    bins = tuple(_bins(p, y))
    each: list[float] = []
    covered: list[bool] = []
    for at in range(score.shape[1]):
        mine = known[:, at]
        if not mine.any():
            continue
        each.append(_ece(_bins(predicted[mine, at], score[mine, at])))
        order = np.argsort(predicted[mine, at], kind="stable")
        covered.extend(
            bool(score[mine, at][part].mean() >= lower[mine, at][part].mean())
            for part in np.array_split(order, max(1, len(order) // 100))
        )
    return Calibration(
        ece=_ece(bins),
        model_ece=float(np.mean(each)) if each else np.nan,
        brier=float(np.mean((p - y) ** 2)) if len(y) else np.nan,
        plain_brier=float(np.mean((np.broadcast_to(plain, score.shape)[known] - y) ** 2))
        if len(y)
        else np.nan,
        bins=bins,
        covered=float(np.mean(covered)) if covered else np.nan,
    )


def _bins(predicted: Floats, score: Floats) -> list[tuple[float, float, int]]:
    place = np.minimum((predicted * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return [
        (float(predicted[place == at].mean()), float(score[place == at].mean()), int(count))
        for at in range(CALIBRATION_BINS)
        if (count := int((place == at).sum()))
    ]


def _ece(bins: tuple[tuple[float, float, int], ...] | list[tuple[float, float, int]]) -> float:
    total = sum(count for _, _, count in bins)
    if not total:
        return float("nan")
    return sum(abs(said - got) * count for said, got, count in bins) / total
