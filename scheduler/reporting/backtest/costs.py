"""What a call would cost, from the text alone."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.folds import group_folds, random_folds
from scheduler.estimate.novelty import Familiar
from scheduler.estimate.tokens import TokenModel

Floats = NDArray[np.float64]

FOLDS: Final = 4
LEAST: Final = 8
"""Outcomes below which a model's cost is its mean, in proportion to the text's length."""
WORTH_IT: Final = 0.99
"""What more columns must bring a squared error down to, to be taken."""
WORDS_PENALTY: Final = 3.0
"""Of the words' weights; theirs are vectors of length one."""
BINS_MOST: Final = 10
PER_BIN: Final = 20
"""Held-back outcomes that say together by how much costs like theirs are off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Cost per model as a linear function of a text's tokens and, where it helps, more of it.

    Attributes:
        weights: (k, m) USD per column; the first columns are one and the tokens, and the
            scripts' bytes may follow.
        scale: (k,) what the columns are divided by.
        words: (f, m) USD per scaled feature, on top; zero where words do not help: the
            length of an answer is told by what is asked, and not by how long the question is.
        familiar: what scales the features.
        floor: (m,) USD, half of the least that was ever paid.
        curves: by model, what its costs are corrected by.
    """

    weights: Floats
    scale: Floats
    words: Floats
    familiar: Familiar
    floor: Floats
    curves: "tuple[_Curve, ...]" = ()

    def cost_usd(self, stats: NDArray[np.int32], features: NDArray[Any]) -> Floats:
        """(n, m) expected cost of texts with these *stats* and *features*."""
        said = self.said(_columns(stats)[:, : len(self.scale)], features)
        return _corrected(said, self.curves)

    def said(self, columns: Floats, features: NDArray[Any]) -> Floats:
        """(n, m) the same before it is corrected, by *columns* (n, k)."""
        found = columns / self.scale @ self.weights
        if self.words.any():
            found = found + self.familiar.scaled(features) @ self.words
        return np.asarray(np.maximum(found, self.floor))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """By what factor costs are corrected, at some of them; between these it is interpolated.

    A plan takes what looks cheap for what it brings.  If the costs that are said to be lowest
    are too low, and the mean is right, it spends more than its budget.

    Attributes:
        said_usd, factor: (b,), from low to high.
    """

    said_usd: Floats
    factor: Floats

    @staticmethod
    def of(said_usd: Floats, paid_usd: Floats) -> "_Curve":
        """What was paid for held-back texts over what was said, without what may be luck."""
        order = np.argsort(said_usd, kind="stable")
        count = int(np.clip(len(order) // PER_BIN, 0, BINS_MOST))
        said, factor = [], []
        for part in np.array_split(order, count) if count else ():
            mean = float(said_usd[part].mean())
            if mean <= 0:
                continue
            off = (paid_usd[part] - said_usd[part]) / mean
            more = float(off.mean())
            luck = float(off.var()) / len(part)
            said.append(mean)
            factor.append(1 + more * max(0.0, 1 - luck / max(more**2, 1e-12)))
        return _Curve(said_usd=np.array(said), factor=np.array(factor))

    def corrected(self, cost_usd: Floats) -> Floats:
        """(n,) *cost_usd* (n,), corrected."""
        if not len(self.said_usd):
            return cost_usd
        return np.asarray(cost_usd * np.interp(cost_usd, self.said_usd, self.factor))

    def levelled(self, cost_usd: Floats) -> "_Curve":
        """The curve that leaves the sum of *cost_usd* (n,) as it is.

        Least squares have their sums right.  A curve has not: luck is the larger part of small
        costs, so that these are raised less than large ones are lowered.
        """
        total = float(self.corrected(cost_usd).sum())
        if total <= 0:
            return self
        return replace(self, factor=self.factor * (float(cost_usd.sum()) / total))


def _curves(said_usd: Floats, paid_usd: Floats) -> tuple[_Curve, ...]:
    """The curve of each model, by what was said of held-back texts and paid, both (n, m)."""
    known = ~np.isnan(said_usd) & ~np.isnan(paid_usd)
    return tuple(
        _Curve.of(said_usd[mine, at], paid_usd[mine, at]) for at, mine in enumerate(known.T)
    )


def _levelled(curves: Sequence[_Curve], cost_usd: Floats) -> tuple[_Curve, ...]:
    return tuple(curve.levelled(usd) for curve, usd in zip(curves, cost_usd.T, strict=True))


def _corrected(cost_usd: Floats, curves: Sequence[_Curve]) -> Floats:
    found = cost_usd.copy()
    for at, curve in enumerate(curves):
        found[:, at] = curve.corrected(found[:, at])
    return found


def fitted_costs(
    stats: NDArray[np.int32],
    features: NDArray[Any],
    cost_usd: Floats,
    *,
    groups: Sequence[str] | None,
    seed: int,
) -> tuple[CostModel, Floats]:
    """The cost model that *cost_usd* (n, m; NaN where unknown) teaches.

    Tokens alone, or with the scripts' bytes, the words, or both: whichever did better on
    held-back texts, or on held-back *groups* (n,) of them.

    Returns:
        The model, and (n, m) what it said of each text when that was held back.
    """
    columns = _columns(stats)
    fold = (
        random_folds(len(stats), folds=FOLDS, seed=seed)
        if groups is None
        else group_folds(groups, folds=FOLDS, seed=seed)
    )
    # Every model counts alike, whatever it costs.
    paid = np.where(np.isnan(cost_usd), 0.0, cost_usd).sum(0)
    unit = np.maximum(paid / np.maximum((~np.isnan(cost_usd)).sum(0), 1), 1e-12)
    best: tuple[float, int, bool, Floats] | None = None
    for width, with_words in itertools.product((2, columns.shape[1]), (False, True)):
        said = _held_back(columns[:, :width], features, cost_usd, fold, with_words=with_words)
        off = float(np.nansum(((said - cost_usd) / unit) ** 2))
        if best is None or off < WORTH_IT * best[0]:
            best = (off, width, with_words, said)
    assert best is not None
    _, width, with_words, said = best
    model = _fitted(columns[:, :width], features, cost_usd, with_words=with_words)
    if groups is None:
        # By how much the costs of one group were off says little of another's.
        curves = _curves(said, cost_usd)
        said = _corrected(said, _levelled(curves, said))
        all_said = model.said(columns[:, :width], features)
        model = replace(model, curves=_levelled(curves, all_said))
    # One group alone cannot be held back.
    return model, np.where(np.isnan(said), model.cost_usd(stats, features), said)


def _held_back(
    columns: Floats,
    features: NDArray[Any],
    cost_usd: Floats,
    fold: NDArray[np.int64],
    *,
    with_words: bool,
) -> Floats:
    """(n, m) expected cost of each text by what the other folds taught; NaN without others."""
    said = np.full(cost_usd.shape, np.nan)
    for at in range(FOLDS):
        mine = fold == at
        if mine.all() or not mine.any():
            continue
        model = _fitted(columns[~mine], features[~mine], cost_usd[~mine], with_words=with_words)
        said[mine] = model.said(columns[mine], features[mine])
    return said


def _columns(stats: NDArray[np.int32]) -> Floats:
    tokens = TokenModel().input_tokens(stats, family="other")[0]
    return np.hstack([np.ones((len(stats), 1)), tokens[:, None], stats.astype(np.float64)])


def _fitted(
    columns: Floats, features: NDArray[Any], cost_usd: Floats, *, with_words: bool
) -> CostModel:
    scale = np.maximum(np.sqrt(np.mean(columns**2, axis=0)), 1e-9)
    weights = np.zeros((columns.shape[1], cost_usd.shape[1]))
    floor = np.zeros(cost_usd.shape[1])
    for at in range(cost_usd.shape[1]):
        known = ~np.isnan(cost_usd[:, at])
        paid = cost_usd[known, at]
        if not len(paid):
            continue
        floor[at] = paid.min() / 2
        scaled = columns[known] / scale
        if len(paid) < LEAST:
            weights[1, at] = paid.sum() / max(scaled[:, 1].sum(), 1e-12)
            continue
        # The mean must be right, so the first column goes free; the others are held a little.
        ridge = np.full(columns.shape[1], 0.1)
        ridge[:2] = 1e-6
        bend = scaled.T @ scaled + np.diag(ridge)
        weights[:, at] = np.linalg.solve(bend, scaled.T @ paid)
    familiar = Familiar.of(features)
    words = np.zeros((features.shape[1], cost_usd.shape[1]))
    if with_words:
        words = _words(familiar.scaled(features), cost_usd - columns / scale @ weights)
    return CostModel(weights=weights, scale=scale, words=words, familiar=familiar, floor=floor)


def _words(scaled: NDArray[Any], rest: Floats) -> Floats:
    """(f, m) what *scaled* features (n, f) tell of the *rest* (n, m) of the costs.

    Unknown costs count as if nothing were left of them to tell: so one factorization serves
    all models, and those of which less is known keep closer to the other columns.
    """
    known = ~np.isnan(rest)
    bend = (scaled.T @ scaled).astype(np.float64)
    bend += WORDS_PENALTY * np.eye(len(bend))
    seen = known.sum(0) >= LEAST
    return np.linalg.solve(bend, scaled.T @ np.where(known & seen, rest, 0.0))
