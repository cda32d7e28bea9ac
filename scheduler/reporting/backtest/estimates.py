"""What is learned from the training items, and the settings chosen by them alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from scheduler.reporting.backtest.plans import geometric_budgets, sweep
from scheduler.reporting.backtest.scores import (
    best_single,
    mean_error,
    mixture,
    picked,
    realised,
    singles,
)
from scheduler.reporting.backtest.simple import difference_errors, ladder, mixtures
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
    def of(texts: Sequence[str], embedder: Embedder | None = None) -> "Described":
        """These texts, described; with *embedder*, by what it says of them as well."""
        features = document_features(texts)
        if embedder is not None:
            features = with_embedding(features, embedder.embedded(texts))
        return Described(features=features, stats=script_bytes(texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How plans are made from what was predicted.

    Attributes:
        share: how much of the predictions' word plans go by; the rest is the models' means.
        mixes: whether work is only divided by lot between single models, for all that would
            tell items apart has shown nothing.
        path: the models that such a division climbs, cheapest first.
        errors: (m, m) standard errors of the differences between models on training items.
    """

    share: float
    mixes: bool
    path: tuple[int, ...]
    errors: Floats

    @property
    def caution(self) -> Floats:
        """(m,) by how much each model must be better than the cheapest to be paid for."""
        return np.asarray(self.errors[self.path[0]])

    def plans(
        self, quality: Floats, cost_usd: Floats, *, budgets_usd: Sequence[float], seed: int
    ) -> list[NDArray[np.int32]]:
        """The plan at each of *budgets_usd* for items of this *quality* and *cost_usd* (n, m)."""
        if self.mixes:
            return mixtures(self.path, cost_usd, budgets_usd=budgets_usd, seed=seed)
        return sweep(quality, cost_usd, budgets_usd=budgets_usd, seed=seed, caution=self.caution)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the training items taught.

    Attributes:
        policy: how plans are made.
        rates: (m,) each model's mean on the training items.
        held_back: predictions for training items by what the others taught, where there were
            enough of them.
        target_usd: cost per item at which held-back plans were as good as the best single
            model; NaN where they never were.
    """

    predictor: Predictor
    costs: CostModel
    policy: Policy
    rates: Floats
    held_back: HeldBack | None
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
        mean, share = found.mean.astype(np.float64), self.policy.share
        blend = share * mean + (1 - share) * self.rates[None, :]
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
    simple = _simple(score, costs.cost_usd(described.stats[train]), groups)
    trial = None
    if (held := tried.get(TASK)) is not None:
        items = train[held.documents]
        trial = PolicyTrial(
            held=held,
            models=data.models,
            score=data.score[items],
            cost_usd=data.cost_usd[items],
            expected_usd=costs.cost_usd(described.stats[items]),
        )
    policy, target_usd = (simple, np.nan) if trial is None else chosen_policy(trial, simple, seed)
    return Learned(
        predictor=predictor,
        costs=costs,
        policy=policy,
        rates=_rates(score),
        held_back=held,
        target_usd=target_usd,
        models=data.models,
    )


def _simple(score: Floats, expected_usd: Floats, groups: Sequence[str] | None) -> Policy:
    """The policy that divides work between single models by their means."""
    known = ~np.isnan(score)
    at = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    errors = difference_errors(score, at)
    # A model without a single outcome to learn from is not offered.
    mean_usd = np.where(known.any(0), expected_usd.mean(0), np.nan)
    path = ladder(_rates(score), mean_usd, errors)
    return Policy(share=0.0, mixes=True, path=tuple(path), errors=errors)


def _rates(score: Floats) -> Floats:
    """(m,) mean of each model's scores, drawn to the mean of all by one outcome."""
    known = ~np.isnan(score)
    middle = float(score[known].mean())
    return np.asarray((np.where(known, score, 0).sum(0) + middle) / (known.sum(0) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTrial:
    """Held-back training items on which policies are tried: d items and m models.

    Attributes:
        score, cost_usd: (d, m) what came of them; expected_usd: (d, m).
    """

    held: HeldBack
    models: tuple[str, ...]
    score: Floats
    cost_usd: Floats
    expected_usd: Floats

    def quality(self, share: float) -> Floats:
        """(d, m) what a policy of this *share* goes by, NaN for models never seen."""
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

    def simple_plans(
        self, errors: Floats, budgets: Sequence[float], seed: int
    ) -> list[NDArray[np.int32]]:
        """Work divided between single models, each fold's by the means of the others."""
        plain = self.quality(0.0)
        _, fold = np.unique(self.held.plain, axis=0, return_inverse=True)
        plans = [np.full(len(plain), -1, np.int32) for _ in budgets]
        for at in range(int(fold.max()) + 1):
            mine = np.flatnonzero(fold.ravel() == at)
            usd = self.expected_usd[mine]
            path = ladder(plain[mine[0]], usd.mean(0), errors)
            part = [budget * len(mine) / len(plain) for budget in budgets]
            made = mixtures(path, usd, budgets_usd=part, seed=seed)
            for plan, choice in zip(plans, made, strict=True):
                plan[mine] = choice
        return plans

    def target_usd(self, plans: Sequence[NDArray[np.int32]]) -> float:
        """Least cost per item from which on these plans are as good as the best single model."""
        quality = best_single(singles(self.models, self.score, self.cost_usd)).quality
        found = [realised(choice, self.score, self.cost_usd) for choice in plans]
        good = [one.cost_usd for one in found if one.quality >= quality]
        return min(good) if good else float("nan")


def chosen_policy(trial: PolicyTrial, simple: Policy, seed: int) -> tuple[Policy, float]:
    """The policy that did best on held-back plans, and the cost at which they reach the best.

    To tell items apart must be earned: a policy that does so is taken only where its held-back
    plans beat those that divide work between single models by more than a standard error.
    """
    budgets = geometric_budgets(trial.expected_usd, points=TRIAL_BUDGETS)
    best, made = simple, trial.simple_plans(simple.errors, budgets, seed)
    worth = trial.gain(made)[0]
    for share in SHARES:
        policy = replace(simple, share=share, mixes=False)
        plans = policy.plans(
            trial.quality(share), trial.expected_usd, budgets_usd=budgets, seed=seed
        )
        gain, error = trial.gain(plans)
        if gain - error > worth:
            best, worth, made = policy, gain - error, plans
    return best, trial.target_usd(made)
