"""A backtest: learn from some items, plan the others, and see what would have come of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.embedding import Embedder
from scheduler.reporting.backtest.cautious import POINTS, RISK, cautious_plans
from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.escalation import (
    Escalated,
    Judge,
    Kinds,
    NoAnswers,
    Rehearsal,
    Window,
    escalated,
    window_logits,
)
from scheduler.reporting.backtest.estimates import Described, Learned, learn
from scheduler.reporting.backtest.plans import geometric_budgets
from scheduler.reporting.backtest.splits import Split, split_items

Floats = NDArray[np.float64]

SHARES_TRIED: Final = 8
"""Budgets at which it is tried how to divide the money between rounds; the others do alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a backtest is asked to do; see `apportion backtest --help`."""

    split: str = "random"
    train_share: float = 0.5
    seeds: int = 5
    budgets_usd: tuple[float, ...] | None = None
    risk: float = RISK
    escalate: bool = False
    embedding: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedPlans:
    """All that was decided for one seed: nothing in it depends on a test item's outcomes.

    Except `escalations`, which read the answers and costs of calls once these are paid for,
    as the service does, and never a score.

    Attributes:
        quality, lower, expected_usd: (t, m) for the test items.
        novelty: (t,) how unlike the training items each is.
        budgets_usd: for the whole test part.
        plans: per budget, (t,) the model of each item, -1 where it is deferred.
        target_usd: per item, the cost at which held-back plans reached the best single model.
    """

    seed: int
    split: Split
    learned: Learned
    quality: Floats
    lower: Floats
    expected_usd: Floats
    novelty: Floats
    budgets_usd: tuple[float, ...]
    plans: tuple[NDArray[np.int32], ...]
    escalations: tuple[Escalated, ...]


def run_seeds(data: Outcomes, settings: Settings) -> Iterator[SeedPlans]:
    """The plans of every seed, one after the other.

    Raises:
        BadSplit: the items cannot be split so.
        NoAnswers: escalation is asked for, and the outcomes have no answers.
        NoEmbedding: the embedding model cannot be used.
    """
    if settings.escalate and data.answers is None:
        raise NoAnswers
    embedder = None if settings.embedding is None else Embedder.load(settings.embedding)
    described = Described.of(data.texts, embedder)
    for seed in range(settings.seeds):
        split = split_items(
            settings.split,
            count=len(data.items),
            columns=data.columns,
            known=np.asarray(data.known().any(1)),
            train_share=settings.train_share,
            seed=seed,
        )
        yield _seed_plans(data, described, split, settings, seed)


def _seed_plans(
    data: Outcomes, described: Described, split: Split, settings: Settings, seed: int
) -> SeedPlans:
    learned = learn(data, described, split, seed=seed)
    features = described.features[split.test]
    quality, lower = learned.quality(features)
    expected = learned.costs.cost_usd(described.stats[split.test], features)
    # A model without a single outcome to learn from is not offered.
    expected[:, ~data.known()[split.train].any(0)] = np.nan
    # From what the cheapest model may cost at most: less than that leaves items out.
    budgets = settings.budgets_usd or geometric_budgets(
        learned.spending.single_usd(expected), points=POINTS
    )
    plans = cautious_plans(
        learned.doubt(described, split, quality, expected, seed=seed),
        expected,
        learned.spending,
        tells_apart=learned.tells_apart,
        more=learned.more,
        budgets_usd=budgets,
        seed=seed,
        risk=settings.risk,
    )
    escalations: Sequence[Escalated] = ()
    if settings.escalate:
        escalations = _escalations(data, split, learned, quality, expected, budgets, seed)
    return SeedPlans(
        seed=seed,
        split=split,
        learned=learned,
        quality=quality,
        lower=lower,
        expected_usd=expected,
        novelty=learned.predictor.novelty(features, task="backtest").astype(np.float64),
        budgets_usd=tuple(budgets),
        plans=tuple(plans),
        escalations=tuple(escalations),
    )


def _escalations(
    data: Outcomes,
    split: Split,
    learned: Learned,
    quality: Floats,
    expected: Floats,
    budgets: Sequence[float],
    seed: int,
) -> list[Escalated]:
    """Escalation at every budget, with shares that training items chose."""
    assert data.answers is not None
    if learned.held_back is None:
        return []
    held = learned.held_back
    items = split.train[held.documents]
    kinds = Kinds.of(data.answers[items], data.known()[items])
    before = np.full((len(items), len(data.models)), 0.5)
    for at, model in enumerate(data.models):
        if model in held.offers:
            before[:, at] = held.quality[:, held.offers.index(model)]
    train = Window(
        said=window_logits(before),
        expected_usd=learned.expected_usd[held.documents],
        kind=kinds.kind(data.answers[items]),
        paid_usd=data.cost_usd[items],
    )
    judge = Judge(said=train.said, score=data.score[items], kind=train.kind)
    test = Window(
        said=window_logits(quality),
        expected_usd=expected,
        kind=kinds.kind(data.answers[split.test]),
        paid_usd=data.cost_usd[split.test],
    )
    rehearsal = Rehearsal.of(train, data.score[items], seed=seed)
    scale = len(items) / len(split.test)
    tried = {
        budget: rehearsal.best_shares(budget_usd=budget * scale, seed=seed)
        for budget in budgets[:: max(1, len(budgets) // SHARES_TRIED)]
    }
    found = []
    for budget in budgets:
        nearest = min(tried, key=lambda one: abs(np.log((one + 1e-12) / (budget + 1e-12))))
        found.append(escalated(test, judge, budget_usd=budget, shares=tried[nearest], seed=seed))
    return found
