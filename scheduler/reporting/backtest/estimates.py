"""What is learned from the training items, and the settings chosen by them alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.embedding import Embedder, with_embedding
from scheduler.estimate.features import document_features, script_bytes
from scheduler.estimate.learning import HeldBack, learned_and_held_back
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor
from scheduler.reporting.backtest.costs import CostModel, fitted_costs
from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.doubt import Doubt, Seen, doubt, spread
from scheduler.reporting.backtest.likeness import likeness
from scheduler.reporting.backtest.plans import geometric_budgets, sweep
from scheduler.reporting.backtest.scores import (
    best_single,
    mean_error,
    mixture,
    picked,
    realised,
    singles,
)
from scheduler.reporting.backtest.simple import ladder, mixtures
from scheduler.reporting.backtest.spending import Spending
from scheduler.reporting.backtest.splits import Split

Floats = NDArray[np.float64]

TASK: Final = "backtest"
TRIAL_BUDGETS: Final = 16
LEVEL: Final = 0.9
LEAST_ITEMS: Final = 20
"""With fewer items, that all have the same right answer may well be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """All items' texts as the models see them.

    Attributes:
        features: (n, FEATURES) float32; stats: (n, TOKEN_STATS) int32.
    """

    features: NDArray[np.float32]
    stats: NDArray[np.int32]

    @staticmethod
    def of(texts: Sequence[str], embedder: Embedder | None = None) -> "Described":
        """These texts, described; with *embedder*, by what it says of them as well."""
        features = document_features(texts)
        if embedder is not None:
            features = with_embedding(features, embedder.embedded(texts))
        return Described(features=features, stats=script_bytes(texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the training items taught.

    Attributes:
        expected_usd: (n, m) of the training items, by what the others taught.
        spending: how far sums of the test items' costs may be off.
        tells_apart: whether predictions have earned a say in which item gets which model.
        more: by what part plans that tell items apart cost more than is expected.
        rates: (m,) each model's mean on the training items.
        seen: what held-back training items showed; documents: (d,) which items those are.
        groups: what items share with others, of training and test items; None without groups.
        held_back: predictions for training items by what the others taught, where there were
            enough of them.
        target_usd: cost per item at which held-back plans were as good as the best single
            model; NaN where they never were.
    """

    predictor: Predictor
    costs: CostModel
    expected_usd: Floats
    spending: Spending
    tells_apart: bool
    more: float
    rates: Floats
    seen: Seen
    documents: NDArray[np.int64]
    groups: tuple[Sequence[str], Sequence[str]] | None
    held_back: HeldBack | None
    target_usd: float
    models: tuple[str, ...]

    def quality(self, features: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """(n, m) predicted quality, and its lower bound."""
        found = self.predictor.quality(
            features,
            task=TASK,
            offers=self.models,
            priors=np.full(len(self.models), np.nan),
            level=LEVEL,
        )
        return found.mean.astype(np.float64), found.lower.astype(np.float64)

    def doubt(
        self, described: Described, split: Split, quality: Floats, cost_usd: Floats, *, seed: int
    ) -> Doubt:
        """What is not known of the test items, whose *quality* and *cost_usd* are expected."""
        train, test = described.features[split.train], described.features[split.test]
        ours, theirs = likeness(train, test, seed=seed)
        return doubt(
            self.seen,
            quality,
            cost_usd,
            like_test=(ours[self.documents], theirs),
            groups=None if self.groups is None else self.groups[1],
        )


def learn(data: Outcomes, described: Described, split: Split, *, seed: int) -> Learned:
    """Learn from the training items of *split*; nothing of the others is looked at."""
    train = split.train
    score, cost_usd = data.score[train], data.cost_usd[train]
    row, at = np.nonzero(~np.isnan(score))
    groups = _groups(data, split)
    predictor, tried = learned_and_held_back(
        Observations(
            features=described.features[train],
            row=row,
            task=[TASK] * len(row),
            offer=[data.models[place] for place in at.tolist()],
            score=score[row, at],
            group=None if groups is None else groups[0],
        ),
        seed=seed,
    )
    costs, expected_usd = fitted_costs(
        described.stats[train],
        described.features[train],
        cost_usd,
        groups=None if groups is None else groups[0],
        seed=seed,
    )
    rates, held = _rates(score), tried.get(TASK)
    counts = (~np.isnan(score)).sum(0).astype(np.float64)
    if held is None:
        documents, trial, off = np.arange(len(train)), None, score - rates
    else:
        documents, items = held.documents, train[held.documents]
        trial = Trial(
            held=held,
            models=data.models,
            score=data.score[items],
            cost_usd=data.cost_usd[items],
            expected_usd=expected_usd[held.documents],
        )
        off = trial.score - trial.quality(1.0)
    own = None if groups is None else [groups[0][at] for at in documents.tolist()]
    seen = Seen(off=off, counts=counts, groups=own)
    tells_apart, target_usd, more = (
        (False, np.nan, 0.0) if trial is None else tried_out(trial, seen, seed)
    )
    return Learned(
        predictor=predictor,
        costs=costs,
        expected_usd=expected_usd,
        spending=Spending.of(
            expected_usd, cost_usd, groups=groups, items=len(split.test), level=LEVEL
        ),
        tells_apart=tells_apart,
        more=more,
        rates=rates,
        seen=seen,
        documents=documents,
        groups=groups,
        held_back=held,
        target_usd=target_usd,
        models=data.models,
    )


def _groups(data: Outcomes, split: Split) -> tuple[Sequence[str], Sequence[str]] | None:
    """The groups of training and of test items; None where every item stands for itself."""
    if split.groups is not None:
        names = np.asarray(split.groups)
        return names[split.train].tolist(), names[split.test].tolist()
    if data.answers is not None and _one_sided(data.answers[split.train], data.score[split.train]):
        return ["seen"] * len(split.train), ["unseen"] * len(split.test)
    return None


def _one_sided(answers: NDArray[np.object_], score: Floats) -> bool:
    """Whether only one answer was ever right, though models give others.

    What models are worth where another is right cannot be seen from such items: a model that
    always gives that answer looks perfect.
    """
    right = score >= 1
    wrong = ~np.isnan(score) & (score <= 0)
    only = set(answers[right].tolist())
    return (
        int(right.any(1).sum()) >= LEAST_ITEMS
        and len(only) == 1
        and bool(set(answers[wrong].tolist()) - only)
    )


def _rates(score: Floats) -> Floats:
    """(m,) mean of each model's scores, drawn to the mean of all by one outcome."""
    known = ~np.isnan(score)
    middle = float(score[known].mean())
    return np.asarray((np.where(known, score, 0).sum(0) + middle) / (known.sum(0) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Held-back training items on which plans are tried: d items and m models.

    Attributes:
        score, cost_usd: (d, m) what came of them; expected_usd: (d, m).
    """

    held: HeldBack
    models: tuple[str, ...]
    score: Floats
    cost_usd: Floats
    expected_usd: Floats

    def quality(self, share: float) -> Floats:
        """(d, m) what is said of the items, NaN for models never seen: all, or the means alone."""
        held = self.held
        said = share * held.quality + (1 - share) * held.plain
        columns = np.array([held.offers.index(model) if model in held.offers else -1
                            for model in self.models])  # fmt: skip
        return np.where(columns >= 0, said[:, columns], np.nan)

    def gain(self, plans: Sequence[NDArray[np.int32]]) -> tuple[float, float]:
        """Mean gain over the best mixture (in hindsight), and its standard error."""
        found = singles(self.models, self.score, self.cost_usd)
        off = np.full((len(plans), len(self.score)), np.nan)
        for at, choice in enumerate(plans):
            got = realised(choice, self.score, self.cost_usd)
            mixed = mixture(found, got.cost_usd) if got.scored else None
            if mixed is None:
                continue
            low, high = self.models.index(mixed[0]), self.models.index(mixed[1])
            simple = (1 - mixed[2]) * self.score[:, low] + mixed[2] * self.score[:, high]
            off[at] = picked(choice, self.score) - simple
        known = ~np.isnan(off).all(0)
        if not known.any():
            return -np.inf, 0.0
        gain = np.nanmean(off[:, known], 0)
        return float(gain.mean()), mean_error(gain, self.held.cluster, known)

    def simple_plans(self, budgets: Sequence[float], seed: int) -> list[NDArray[np.int32]]:
        """Work divided between single models, each fold's by the means of the others."""
        plain = self.quality(0.0)
        _, fold = np.unique(self.held.plain, axis=0, return_inverse=True)
        plans = [np.full(len(plain), -1, np.int32) for _ in budgets]
        for at in range(int(fold.max()) + 1):
            mine = np.flatnonzero(fold.ravel() == at)
            usd = self.expected_usd[mine]
            path = ladder(plain[mine[0]], usd.mean(0))
            part = [budget * len(mine) / len(plain) for budget in budgets]
            made = mixtures(path, usd, budgets_usd=part, seed=seed)
            for plan, choice in zip(plans, made, strict=True):
                plan[mine] = choice
        return plans

    def more(self, plans: Sequence[NDArray[np.int32]]) -> float:
        """By what part *plans* cost more than was expected of them, on average.

        A plan takes the options that look cheap for what they bring: among them are more of
        those whose cost is said too low.
        """
        off = []
        for choice in plans:
            paid, said = picked(choice, self.cost_usd), picked(choice, self.expected_usd)
            known = ~np.isnan(paid) & ~np.isnan(said)
            if said[known].sum() > 0:
                off.append(paid[known].sum() / said[known].sum() - 1)
        return max(0.0, float(np.mean(off))) if off else 0.0

    def target_usd(self, plans: Sequence[NDArray[np.int32]]) -> float:
        """Least cost per item from which on these plans are as good as the best single model."""
        quality = best_single(singles(self.models, self.score, self.cost_usd)).quality
        found = [realised(choice, self.score, self.cost_usd) for choice in plans]
        good = [one.cost_usd for one in found if one.quality >= quality]
        return min(good) if good else float("nan")


def tried_out(trial: Trial, seen: Seen, seed: int) -> tuple[bool, float, float]:
    """Whether predictions may tell items apart, the cost at which plans reach the best model,
    and by what part plans by predictions cost more than is expected.

    That say must be earned: held-back plans by predictions must beat those that divide work
    between single models by more than a standard error.
    """
    expected = trial.expected_usd
    budgets = geometric_budgets(expected, points=TRIAL_BUDGETS)
    simple = trial.simple_plans(budgets, seed)
    caution = spread(seen).caution(int(expected.mean(0).argmin()))
    told = sweep(trial.quality(1.0), expected, budgets_usd=budgets, seed=seed, caution=caution)
    gain, error = trial.gain(told)
    tells_apart = gain - error > trial.gain(simple)[0]
    return tells_apart, trial.target_usd(told if tells_apart else simple), trial.more(told)
