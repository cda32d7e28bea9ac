"""What is learned from the training items, and the settings chosen by them alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.features import document_features, script_bytes
from scheduler.estimate.learning import HeldBack, learned_and_held_back
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor
from scheduler.reporting.backtest.costs import CostModel, fitted_costs
from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.plans import geometric_budgets, sweep
from scheduler.reporting.backtest.scores import (
    best_single,
    mean_error,
    mixture,
    picked,
    realised,
    singles,
)
from scheduler.reporting.backtest.splits import Split

Floats = NDArray[np.float64]

TASK: Final = "backtest"
SHARES: Final = (1.0, 0.5, 0.0)
"""How much of the predictions' word is tried: all, half, or the models' means alone."""
TRIAL_BUDGETS: Final = 16
LEVEL: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """All items' texts as the models see them.

    Attributes:
        features: (n, FEATURES) float32; stats: (n, TOKEN_STATS) int32.
    """

    features: NDArray[np.float32]
    stats: NDArray[np.int32]

    @staticmethod
    def of(texts: Sequence[str]) -> "Described":
        """These texts, described."""
        return Described(features=document_features(texts), stats=script_bytes(texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the training items taught.

    Attributes:
        share: how much of the predictions' word plans go by; the rest is the models' means.
        rates: (m,) each model's mean on the training items.
        held_back: predictions for training items by what the others taught, where there were
            enough of them.
        caution: what spending as much as the dearest model everywhere must at least bring in
            quality; differences below it may be luck.
        target_usd: cost per item at which held-back plans were as good as the best single
            model; NaN where they never were.
    """

    predictor: Predictor
    costs: CostModel
    share: float
    rates: Floats
    held_back: HeldBack | None
    caution: float
    target_usd: float
    models: tuple[str, ...]

    def quality(self, features: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """(n, m) predicted quality that plans go by, and its lower bound."""
        found = self.predictor.quality(
            features,
            task=TASK,
            offers=self.models,
            priors=np.full(len(self.models), np.nan),
            level=LEVEL,
        )
        mean = found.mean.astype(np.float64)
        blend = self.share * mean + (1 - self.share) * self.rates[None, :]
        return blend, np.minimum(found.lower, blend)


def learn(data: Outcomes, described: Described, split: Split, *, seed: int) -> Learned:
    """Learn from the training items of *split*; nothing of the others is looked at."""
    train = split.train
    score, cost_usd = data.score[train], data.cost_usd[train]
    row, at = np.nonzero(~np.isnan(score))
    groups = None if split.groups is None else [split.groups[place] for place in train.tolist()]
    predictor, tried = learned_and_held_back(
        Observations(
            features=described.features[train],
            row=row,
            task=[TASK] * len(row),
            offer=[data.models[place] for place in at.tolist()],
            score=score[row, at],
            group=groups,
        ),
        seed=seed,
    )
    costs = fitted_costs(described.stats[train], cost_usd, seed=seed)
    held = tried.get(TASK)
    caution = _caution(score)
    share, target_usd = 0.0, np.nan
    if held is not None:
        share, target_usd = _chosen(data, described, train, costs, held, caution, seed)
    return Learned(
        predictor=predictor,
        costs=costs,
        share=share,
        rates=_rates(score),
        held_back=held,
        caution=caution,
        target_usd=target_usd,
        models=data.models,
    )


def _rates(score: Floats) -> Floats:
    """(m,) mean of each model's scores, drawn to the mean of all by one outcome."""
    known = ~np.isnan(score)
    middle = float(score[known].mean())
    return np.asarray((np.where(known, score, 0).sum(0) + middle) / (known.sum(0) + 1))


def _caution(score: Floats) -> float:
    """Standard error of the difference between the best model's mean and another's.

    The median over the others: by so much the best may be best by luck alone.
    """
    known = ~np.isnan(score)
    means = np.where(known, score, 0).sum(0) / np.maximum(known.sum(0), 1)
    best = int(np.where(known.any(0), means, -1).argmax())
    errors = []
    for other in range(score.shape[1]):
        both = known[:, best] & known[:, other]
        if other != best and both.sum() > 1:
            off = score[both, best] - score[both, other]
            errors.append(float(off.std(ddof=1) / np.sqrt(len(off))))
    return float(np.median(errors)) if errors else 0.0


def _chosen(
    data: Outcomes,
    described: Described,
    train: NDArray[np.int64],
    costs: CostModel,
    held: HeldBack,
    caution: float,
    seed: int,
) -> tuple[float, float]:
    """The share that did best on held-back plans, and the cost at which they reach the best.

    The predictions must earn their say: a larger share is taken only where its held-back
    plans beat the mixture of single models by more than a standard error.
    """
    items = train[held.documents]
    columns = np.array([held.offers.index(model) if model in held.offers else -1
                        for model in data.models])  # fmt: skip
    score, cost_usd = data.score[items], data.cost_usd[items]
    expected = costs.cost_usd(described.stats[items])
    budgets = geometric_budgets(expected, points=TRIAL_BUDGETS)
    found = singles(data.models, score, cost_usd)
    best, target = (-np.inf, 0.0), np.nan
    for share in SHARES:
        said = share * held.quality + (1 - share) * held.plain
        quality = np.where(columns >= 0, said[:, columns], np.nan)
        plans = sweep(quality, expected, budgets_usd=budgets, caution=caution, seed=seed)
        off = np.full((len(plans), len(items)), np.nan)
        for at, choice in enumerate(plans):
            got = realised(choice, score, cost_usd)
            mixed = mixture(found, got.cost_usd) if got.scored else None
            if mixed is None:
                continue
            low, high = data.models.index(mixed[0]), data.models.index(mixed[1])
            simple = (1 - mixed[2]) * score[:, low] + mixed[2] * score[:, high]
            off[at] = picked(choice, score) - simple
        known = ~np.isnan(off).all(0)
        gain = np.nanmean(off[:, known], 0) if known.any() else np.zeros(1)
        error = mean_error(gain, held.cluster, known) if known.any() else 0.0
        worth = float(gain.mean()) - error if share > 0 else float(gain.mean())
        if worth > best[0]:
            best = (worth, share)
            target = _target(plans, score, cost_usd, best_single(found).quality)
    return best[1], target


def _target(
    plans: Sequence[NDArray[np.int32]], score: Floats, cost_usd: Floats, quality: float
) -> float:
    """Least cost per item from which on these plans are as good as *quality*."""
    found = [realised(choice, score, cost_usd) for choice in plans]
    good = [one.cost_usd for one in found if one.quality >= quality]
    return min(good) if good else float("nan")
