"""Learning the quality model from outcomes.

Two stages per task.  First every offer gets a penalized logistic head of its own.  Then what
the first stage says of *held-back* documents becomes the input of a second: what the offers'
heads say together is learned from, drawn to each offer's own.  Both stages are linear, so
their product is one head per offer again (stacking: Wolpert 1992; curds and whey: Breiman &
Friedman 1997).  The penalties are those that did best on held-back documents, by group where
groups are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.folds import group_folds, likeness_groups, random_folds
from scheduler.estimate.heads import Grid, fitted_heads
from scheduler.estimate.logistic import logit, sigmoid
from scheduler.estimate.novelty import Familiar
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import PRIOR_WEIGHT, Predictor, TaskModel
from scheduler.estimate.trust import KNOTS, Trial, loss, trust_curve

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FOLDS: Final = 5
PENALTIES: Final = (0.7, 2.0, 7.0, 30.0, 300.0)
MIXING: Final = (5.0, 50.0, np.inf)
"""Penalties of the second stage; at infinity it leaves the first as it is."""
LEAST_DOCUMENTS: Final = 20
"""With fewer documents there is nothing to hold back, and the means alone are learned."""
TUNING_DOCUMENTS: Final = 4_000
MOST_DOCUMENTS: Final = 40_000
"""Of one task, where nobody says another number; those beyond it are left out at random."""
LIKENESS_GROUPS: Final = 10
SHIFT_BIN: Final = 25
LEAST_GROUPS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """What was predicted of each document by what the others taught.

    Attributes:
        documents: (d,) rows of the observations' features.
        offers: (m,) names.
        quality: (d, m) predicted; plain: (d, m) the offer's mean alone.
        logits: (d, m) what the heads said, before it was seen how far to trust them.
        score, weight: (d, m) what came of it; no weight where nothing was observed.
        cluster: (d,) which documents stand or fall together.
    """

    documents: Places
    offers: tuple[str, ...]
    quality: Floats
    plain: Floats
    logits: Floats
    score: Floats
    weight: Floats
    cluster: Places


def learned(
    observations: Observations, *, seed: int = 0, documents_max: int = MOST_DOCUMENTS
) -> Predictor:
    """The predictor that *observations* teach; with none of them, the untrained one.

    Of a task with more than *documents_max* documents, so many are learned from.
    """
    return learned_and_held_back(observations, seed=seed, documents_max=documents_max)[0]


def learned_and_held_back(
    observations: Observations, *, seed: int = 0, documents_max: int = MOST_DOCUMENTS
) -> tuple[Predictor, dict[str, HeldBack]]:
    """The predictor, and by task what it would have said of documents it had not seen.

    The second is what later settings may be chosen by.  Tasks with fewer than
    `LEAST_DOCUMENTS` documents have none.
    """
    names = np.asarray(observations.task)
    tasks, tried = {}, {}
    for name in np.unique(names).tolist():
        tasks[name], held = _learned_task(observations.of(names == name), seed, documents_max)
        if held is not None:
            tried[name] = held
    return Predictor(tasks=tasks), tried


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """One task's outcomes as a grid of documents and offers."""

    offers: tuple[str, ...]
    documents: Places
    features: NDArray[np.float32]
    score: Floats
    weight: Floats
    prior: Floats
    groups: Sequence[object] | None

    def of(self, documents: Places) -> "_Material":
        groups = None if self.groups is None else [self.groups[at] for at in documents.tolist()]
        return replace(
            self,
            documents=self.documents[documents],
            features=self.features[documents],
            score=self.score[documents],
            weight=self.weight[documents],
            groups=groups,
        )


def _material(outcomes: Observations) -> _Material:
    """The outcomes as a grid; several on one document and offer become their mean."""
    offers, offer = np.unique(np.asarray(outcomes.offer), return_inverse=True)
    documents, row = np.unique(outcomes.row, return_inverse=True)
    shape = (len(documents), len(offers))
    cell = row * len(offers) + offer
    weights = outcomes.weights()
    size = shape[0] * shape[1]
    weight = np.bincount(cell, weights=weights, minlength=size).astype(np.float64)
    total = np.bincount(cell, weights=weights * outcomes.score, minlength=size)
    prior = np.full(len(offers), np.nan)
    if outcomes.prior is not None:
        prior[offer] = outcomes.prior
    groups = outcomes.group
    return _Material(
        offers=tuple(offers.tolist()),
        documents=documents,
        features=outcomes.features[documents],
        score=(total / np.maximum(weight, 1e-12)).reshape(shape),
        weight=weight.reshape(shape),
        prior=prior,
        groups=None if groups is None else [groups[at] for at in documents.tolist()],
    )


def left_out(observations: Observations, *, documents_max: int) -> int:
    """How many documents `learned` would leave out, each counted once for each of its tasks."""
    names = np.asarray(observations.task)
    documents = [
        np.unique(observations.row[names == name]).size for name in np.unique(names).tolist()
    ]
    return sum(max(count - documents_max, 0) for count in documents)


def _learned_task(
    outcomes: Observations, seed: int, documents_max: int
) -> tuple[TaskModel, HeldBack | None]:
    material = _material(outcomes)
    rng = np.random.default_rng(seed)
    if len(material.features) > documents_max:
        kept = rng.choice(len(material.features), documents_max, replace=False)
        material = material.of(np.sort(kept))
    familiar = Familiar.of(material.features)
    grid = Grid(
        columns=familiar.scaled(material.features).astype(np.float64),
        score=material.score,
        weight=material.weight,
    )
    bare = _bare(material, familiar, grid)
    if len(material.features) < LEAST_DOCUMENTS:
        return bare, None
    tuning = material
    if len(material.features) > TUNING_DOCUMENTS:
        kept = rng.choice(len(material.features), TUNING_DOCUMENTS, replace=False)
        tuning = material.of(np.sort(kept))
    tuned = _tuned(tuning, seed)
    first = fitted_heads(grid, tuned.penalty)
    mixed = first[1:] @ tuned.mixing
    model = replace(
        bare,
        heads=mixed.astype(np.float32),
        at_centre=_centred(grid, grid.columns @ mixed).astype(np.float32),
        unsure=tuned.unsure.astype(np.float32),
        shift=tuned.shift,
        trust=tuned.trust,
    )
    return model, _held_back_view(tuning, model, tuned.trial)


def _held_back_view(material: _Material, model: TaskModel, trial: Trial) -> HeldBack:
    share = model.trusted(trial.novelty.astype(np.float32))[:, None]
    return HeldBack(
        documents=material.documents,
        offers=material.offers,
        quality=sigmoid(trial.plain + share * (trial.full - trial.plain)),
        plain=sigmoid(trial.plain),
        logits=trial.full,
        score=trial.score,
        weight=trial.weight,
        cluster=trial.cluster,
    )


def _bare(material: _Material, familiar: Familiar, grid: Grid) -> TaskModel:
    """The task's model with means alone."""
    counts = material.weight.sum(0)
    rates = grid.rates()
    known = np.where(np.isnan(material.prior), rates, material.prior)
    blend = (PRIOR_WEIGHT * known + counts * rates) / (PRIOR_WEIGHT + counts)
    offers = len(material.offers)
    return TaskModel(
        offers=material.offers,
        familiar=familiar,
        heads=np.zeros((grid.columns.shape[1], offers), np.float32),
        at_centre=logit(rates).astype(np.float32),
        rates=rates.astype(np.float32),
        counts=counts.astype(np.float32),
        surprise=(logit(blend) - logit(known)).astype(np.float32),
        unsure=np.zeros(offers, np.float32),
        shift=0.0,
        trust=np.stack([np.arange(KNOTS), np.zeros(KNOTS)], 1).astype(np.float32),
    )


def _centred(grid: Grid, said: Floats) -> Floats:
    """(m,) intercepts at which the mean prediction is each offer's mean score."""
    rates = np.clip(grid.rates(), 1e-4, 1 - 1e-4)
    found = logit(rates)
    total = np.maximum(grid.weight.sum(0), 1e-12)
    for _ in range(20):
        p = sigmoid(found + said)
        short = rates - (grid.weight * p).sum(0) / total
        bend = (grid.weight * np.maximum(p * (1 - p), 1e-4)).sum(0) / total
        found = found + np.clip(short / np.maximum(bend, 1e-4), -1.0, 1.0)
    return np.where(grid.weight.sum(0) > 0, found, logit(rates))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tuned:
    """The settings that did best on held-back documents, and what those showed."""

    penalty: float
    mixing: Floats
    unsure: Floats
    shift: float
    trust: NDArray[np.float32]
    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstStage:
    """First-stage predictions of documents that were held back.

    Attributes:
        said: (d, m) what the heads add to the intercepts.
        heads: (folds, f, m) the heads of each fold, on the columns of all documents.
    """

    said: Floats
    heads: Floats


def _tuned(material: _Material, seed: int) -> _Tuned:
    familiar = Familiar.of(material.features)
    grid = Grid(
        columns=familiar.scaled(material.features).astype(np.float64),
        score=material.score,
        weight=material.weight,
    )
    fold, cluster = _folds(material, seed)
    best = None
    for penalty in PENALTIES:
        held = _held_back(grid, fold, penalty)
        for mixing in MIXING:
            trial = _trial(grid, material, fold, cluster, held, mixing)
            found = loss(trial.full, trial.score, trial.weight)
            if best is None or found < best[0]:
                best = (found, penalty, mixing, held, trial)
    assert best is not None
    _, penalty, mixing, held, trial = best
    mix = _mixing(grid, held.said, mixing)
    tried = trial
    if not _has_groups(material):
        likeness = likeness_groups(
            grid.columns[:, :], groups=min(LIKENESS_GROUPS, len(grid.columns) // 10), seed=seed
        )
        apart = group_folds(likeness.tolist(), folds=FOLDS, seed=seed)
        unlike = _trial(grid, material, apart, likeness, _held_back(grid, apart, penalty), mixing)
        # Groups too few to hold back say that what comes is unlike, and not how: then only
        # what holds across likenesses is trusted.
        tried = trial.joined(unlike) if material.groups is None else unlike
    trust = trust_curve(tried)
    share = np.interp(trial.novelty, trust[:, 0], trust[:, 1])[:, None]
    return _Tuned(
        penalty=penalty,
        mixing=mix,
        unsure=_unsure(held, mix, grid, trial.novelty),
        shift=_shift(trial, sigmoid(trial.plain + share * (trial.full - trial.plain))),
        trust=trust,
        trial=trial,
    )


def _has_groups(material: _Material) -> bool:
    """Whether there are groups enough to hold some back."""
    return material.groups is not None and len(set(material.groups)) >= LEAST_GROUPS


def _folds(material: _Material, seed: int) -> tuple[Places, Places]:
    """Which fold each document is held back in, and which documents stand or fall together."""
    count = len(material.features)
    if material.groups is None or not _has_groups(material):
        return random_folds(count, folds=FOLDS, seed=seed), np.arange(count)
    _, cluster = np.unique([str(group) for group in material.groups], return_inverse=True)
    return group_folds(material.groups, folds=FOLDS, seed=seed), cluster.astype(np.int64)


def _held_back(grid: Grid, fold: Places, penalty: float) -> _FirstStage:
    said = np.zeros_like(grid.score)
    heads = []
    for at in np.unique(fold):
        found = fitted_heads(grid.of(fold != at), penalty)
        said[fold == at] = grid.columns[fold == at] @ found[1:]
        heads.append(found[1:])
    return _FirstStage(said=said, heads=np.stack(heads))


def _mixing(grid: Grid, said: Floats, penalty: float) -> Floats:
    """(m, m) how the first stage's words are mixed, drawn to each offer's own."""
    own = np.eye(said.shape[1])
    if np.isinf(penalty):
        return own
    second = Grid(columns=said - said.mean(0), score=grid.score, weight=grid.weight)
    return fitted_heads(second, penalty, start=own)[1:]


def _trial(
    grid: Grid,
    material: _Material,
    fold: Places,
    cluster: Places,
    held: _FirstStage,
    mixing: float,
) -> Trial:
    """Both stages tried on held-back documents: each fold by what the others teach."""
    plain, full = np.zeros_like(grid.score), np.zeros_like(grid.score)
    novelty = np.zeros(len(fold))
    for at in np.unique(fold):
        mine = fold == at
        rest = grid.of(~mine)
        mix = _mixing(rest, held.said[~mine], mixing)
        plain[mine] = logit(rest.rates())
        full[mine] = _centred(rest, held.said[~mine] @ mix) + held.said[mine] @ mix
        familiar = Familiar.of(material.features[~mine])
        novelty[mine] = familiar.novelty(material.features[mine])
    return Trial(
        plain=plain,
        full=full,
        score=grid.score,
        weight=grid.weight,
        novelty=novelty,
        cluster=cluster,
    )


def _unsure(held: _FirstStage, mix: Floats, grid: Grid, novelty: Floats) -> Floats:
    """(m,) jackknife variance of the heads' word per unit of novelty (Efron & Tibshirani 1993)."""
    said = np.stack([grid.columns @ heads @ mix for heads in held.heads])
    folds = len(said)
    variance = said.var(0) * (folds - 1)
    return np.asarray(variance.mean(0) / max(float(novelty.mean()), 1e-9))


def _shift(trial: Trial, quality: Floats) -> float:
    """Standard deviation of the logits' error beyond sampling: by group, and by prediction.

    An offer may do better in one group of documents than in another, and predictions of one
    size may be off together; the larger of the two is taken.
    """
    groups = [np.flatnonzero(trial.cluster == group) for group in np.unique(trial.cluster)]
    by_group = 0.0
    if len(groups) < len(quality):
        by_group = _excess(trial, quality, [groups] * quality.shape[1])
    order = np.argsort(quality, axis=0, kind="stable")
    bins = max(1, len(quality) // SHIFT_BIN)
    alike = [np.array_split(order[:, at], bins) for at in range(quality.shape[1])]
    return float(np.sqrt(max(by_group, _excess(trial, quality, alike), 0.0)))


def _excess(trial: Trial, quality: Floats, parts: Sequence[Sequence[Places]]) -> float:
    """Variance of the logits' error between the *parts* of each offer's documents."""
    excess, total = 0.0, 0.0
    for offer, own in enumerate(parts):
        for part in own:
            p, weight = quality[part, offer], trial.weight[part, offer]
            curve = float((weight * p * (1 - p)).sum())
            off = float((weight * (trial.score[part, offer] - p)).sum())
            if curve > 1:
                # Of a part's squared error, `curve` is sampling; the rest is a shift.
                excess += (off**2 - curve) / curve
                total += curve
    return excess / max(total, 1e-9)
