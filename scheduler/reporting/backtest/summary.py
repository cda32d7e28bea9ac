"""What a backtest found: plans scored with the outcomes, and the spread over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.escalation import Escalated
from scheduler.reporting.backtest.plans import planned
from scheduler.reporting.backtest.run import SeedPlans
from scheduler.reporting.backtest.scores import (
    Calibration,
    Realised,
    Single,
    against_mixture,
    best_single,
    calibration,
    picked,
    realised,
    singles,
)

Floats = NDArray[np.float64]

SURPRISES: Final = 12
SPENT_LEAST: Final = 0.8
"""The share of a budget named beforehand that a plan must spend to be what was meant by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One budget's plan for the test part, and what it brought.

    Amounts are USD for the scored items; qualities are means over them.

    Attributes:
        budget_usd: for the whole test part.
        spent_share: what was paid, of the budget; of items without an outcome, as much of what
            was expected as of the others.
        mixture: quality of the best mixture of single models at the plan's cost, in hindsight.
        gain, error: the plan's quality less the mixture's, and its standard error.
        random: quality of choosing any affordable model by lot at the same budget.
        oracle: quality of the plan from true outcomes and costs at the same budget.
        escalated, escalated_usd: quality and spending where doubtful answers are paid again,
            of the `escalated_scored` items all of whose calls have an outcome.
    """

    budget_usd: float
    expected_usd: float
    expected_quality: float
    cost_usd: float
    spent_share: float | None
    quality: float
    scored: int
    deferred: int
    mixture: float | None
    gain: float | None
    error: float | None
    is_worse: bool
    random: float | None
    oracle: float | None
    escalated: float | None
    escalated_usd: float | None
    escalated_scored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFault:
    """How far off the predictions for one model were."""

    model: str
    predicted: float
    realised: float
    brier: float
    cost_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Surprise:
    """An item that a model was trusted with, and failed."""

    item: str
    model: str
    predicted: float
    score: float
    novelty: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSummary:
    """One seed's findings.

    Attributes:
        saving: share of the best single model's cost that the cheapest plan of the sweep saves
            which is at least as good; None where none is.
        saving_escalated: the same with escalation.
        ahead_saving, ahead_quality: at the budget that held-back training items named
            beforehand as the least that reaches the best single model.
        tells_apart: whether predictions had a say in which item got which model.
        novelty_ece: calibration error of the least, the middling and the most novel third.
    """

    seed: int
    train_items: int
    test_items: int
    scored_items: int
    grouped_by: str
    tells_apart: bool
    trust: tuple[tuple[float, float], ...]
    singles: tuple[Single, ...]
    lines: tuple[Line, ...]
    saving: float | None
    saving_escalated: float | None
    ahead_saving: float | None
    ahead_quality: float | None
    calibration: Calibration | None
    novelty_ece: tuple[float, ...]
    cost_error: float | None
    faults: tuple[ModelFault, ...]
    surprises: tuple[Surprise, ...]


def summarized(data: Outcomes, plans: SeedPlans) -> SeedSummary:
    """Score what was decided for one seed; here, and not before, test outcomes are read."""
    test = plans.split.test
    score, cost_usd = data.score[test], data.cost_usd[test]
    known = ~np.isnan(score)
    found = singles(data.models, score, cost_usd)
    groups = None
    if plans.split.groups is not None:
        names = [plans.split.groups[at] for at in test.tolist()]
        groups = np.unique(np.asarray(names), return_inverse=True)[1]
    lines = tuple(_lines(data, plans, score, cost_usd, found, groups))
    best = best_single(found) if found else None
    ahead = _ahead(plans, lines, best)
    model = plans.learned.predictor.tasks["backtest"]
    return SeedSummary(
        seed=plans.seed,
        train_items=len(plans.split.train),
        test_items=len(test),
        scored_items=int(known.any(1).sum()),
        grouped_by=plans.split.grouped_by,
        tells_apart=plans.learned.tells_apart,
        trust=tuple((float(at), float(share)) for at, share in model.trust),
        singles=tuple(found),
        lines=lines,
        saving=_saving(
            [(line.cost_usd / line.scored, line.quality) for line in lines if line.scored], best
        ),
        saving_escalated=_saving(
            [
                (line.escalated_usd / line.escalated_scored, line.escalated)
                for line in lines
                if line.escalated is not None and line.escalated_usd is not None
            ],
            best,
        ),
        ahead_saving=ahead[0],
        ahead_quality=ahead[1],
        calibration=calibration(plans.quality, plans.lower, plans.learned.rates, score)
        if known.any()
        else None,
        novelty_ece=_novelty_ece(plans, score),
        cost_error=_cost_error(plans.expected_usd, cost_usd),
        faults=tuple(_faults(data, plans, score, cost_usd)),
        surprises=tuple(_surprises(data, plans, score)),
    )


def _lines(
    data: Outcomes,
    plans: SeedPlans,
    score: Floats,
    cost_usd: Floats,
    found: list[Single],
    groups: NDArray[np.int64] | None,
) -> list[Line]:
    lines = []
    for at, (budget, choice) in enumerate(zip(plans.budgets_usd, plans.plans, strict=True)):
        got = realised(choice, score, cost_usd)
        against = against_mixture(choice, score, cost_usd, models=data.models, groups=groups)
        rows, columns = np.arange(len(choice)), np.maximum(choice, 0)
        served = choice >= 0
        expected = np.where(served, plans.expected_usd[rows, columns], 0.0)
        hoped = np.where(served, plans.quality[rows, columns], 0.0)
        again = plans.escalations[at] if plans.escalations else None
        answered = None if again is None else _answered(again, score, cost_usd)
        lines.append(
            Line(
                budget_usd=budget,
                expected_usd=float(expected.sum()),
                expected_quality=float(hoped.mean()),
                cost_usd=got.cost_usd * got.scored,
                spent_share=_spent_share(budget, expected, picked(choice, cost_usd)),
                quality=got.quality,
                scored=got.scored,
                deferred=int((~served).sum()),
                mixture=None if against is None else got.quality - against.gain,
                gain=None if against is None else against.gain,
                error=None if against is None else against.error,
                is_worse=against is not None and against.is_worse,
                random=_by_lot(found, budget / len(choice)),
                oracle=_oracle(score, cost_usd, budget, plans.seed),
                escalated=answered.quality if answered and answered.scored else None,
                escalated_usd=answered.cost_usd * answered.scored
                if answered and answered.scored
                else None,
                escalated_scored=answered.scored if answered else 0,
            )
        )
    return lines


def _spent_share(budget_usd: float, expected_usd: Floats, paid_usd: Floats) -> float | None:
    """What was paid for items of these expected costs, both (n,), over the budget."""
    known = ~np.isnan(paid_usd)
    expected = float(expected_usd[known].sum())
    if expected <= 0:
        return None
    return float(paid_usd[known].sum()) / expected * float(expected_usd.sum()) / budget_usd


def _answered(again: Escalated, score: Floats, cost_usd: Floats) -> Realised:
    """What answering in rounds brought, for all the calls that it took."""
    paid = np.zeros(len(score))
    for called in again.calls.T:
        paid += picked(called, cost_usd)
    return realised(again.final, score, np.broadcast_to(paid[:, None], score.shape))


def _by_lot(found: list[Single], cost_usd: float) -> float | None:
    """Quality of a model drawn by lot for each item, among as many of the cheapest models as
    cost *cost_usd* an item on average."""
    quality = None
    for count in range(1, len(found) + 1):
        some = found[:count]
        if np.mean([one.cost_usd for one in some]) <= cost_usd * (1 + 1e-9):
            quality = float(np.mean([one.quality for one in some]))
    return quality


def _oracle(score: Floats, cost_usd: Floats, budget_usd: float, seed: int) -> float | None:
    """Quality of the plan made with the true outcomes and costs of the scored items."""
    known = ~np.isnan(score).all(1)
    if not known.any():
        return None
    part = budget_usd * float(known.mean())
    choice = planned(score[known] + 1e-6, cost_usd[known], budget_usd=part, seed=seed)
    return realised(choice, score[known], cost_usd[known]).quality


def _saving(points: Sequence[tuple[float, float]], best: Single | None) -> float | None:
    """What the cheapest of *points* (USD per scored item, quality) saves that is good enough.

    Per item, for where outcomes are missing, one plan has more scored items than another.
    """
    # Of nothing, nothing can be saved.
    if best is None or best.cost_usd <= 0:
        return None
    good = [cost for cost, quality in points if quality >= best.quality - 1e-12]
    return 1 - min(good) / best.cost_usd if good else None


def _ahead(
    plans: SeedPlans, lines: tuple[Line, ...], best: Single | None
) -> tuple[float | None, float | None]:
    """Saving and quality at the least budget of the sweep that held-back plans asked for.

    None where the plan leaves much of it unspent, for what held-back plans bought with it may
    well be worse than a lot here.
    """
    if best is None or best.cost_usd <= 0 or np.isnan(plans.learned.target_usd):
        return None, None
    asked = plans.learned.target_usd * len(plans.split.test)
    enough = [line for line in lines if line.budget_usd >= asked and line.scored]
    if not enough or enough[0].expected_usd < SPENT_LEAST * asked:
        return None, None
    line = enough[0]
    return 1 - line.cost_usd / (best.cost_usd * line.scored), line.quality


def _novelty_ece(plans: SeedPlans, score: Floats) -> tuple[float, ...]:
    order = np.argsort(plans.novelty, kind="stable")
    return tuple(
        calibration(plans.quality[part], plans.lower[part], plans.learned.rates, score[part]).ece
        for part in np.array_split(order, 3)
        if len(part) and (~np.isnan(score[part])).any()
    )


def _cost_error(expected: Floats, paid: Floats) -> float | None:
    """Expected over paid, less one, over all pairs that were paid for."""
    known = ~np.isnan(paid) & ~np.isnan(expected)
    total = paid[known].sum()
    return float(expected[known].sum() / total - 1) if total > 0 else None


def _faults(data: Outcomes, plans: SeedPlans, score: Floats, cost_usd: Floats) -> list[ModelFault]:
    found = []
    for at, model in enumerate(data.models):
        known = ~np.isnan(score[:, at])
        if not known.any():
            continue
        said, got = plans.quality[known, at], score[known, at]
        off = _cost_error(plans.expected_usd[:, [at]], cost_usd[:, [at]])
        found.append(
            ModelFault(
                model=model,
                predicted=float(said.mean()),
                realised=float(got.mean()),
                brier=float(np.mean((said - got) ** 2)),
                cost_error=off or 0.0,
            )
        )
    return sorted(found, key=lambda one: -abs(one.predicted - one.realised))


def _surprises(data: Outcomes, plans: SeedPlans, score: Floats) -> list[Surprise]:
    """Where plans trusted a model most, and were let down."""
    lost: dict[tuple[int, int], float] = {}
    for choice in plans.plans:
        for item in np.flatnonzero(choice >= 0).tolist():
            got = score[item, choice[item]]
            if not np.isnan(got):
                pair = (item, int(choice[item]))
                lost[pair] = float(plans.quality[pair] - got)
    worst = sorted(lost, key=lambda pair: -lost[pair])[:SURPRISES]
    return [
        Surprise(
            item=data.items[int(plans.split.test[item])],
            model=data.models[model],
            predicted=float(plans.quality[item, model]),
            score=float(score[item, model]),
            novelty=float(plans.novelty[item]),
            text=data.texts[int(plans.split.test[item])][:200],
        )
        for item, model in worst
        if lost[(item, model)] > 0
    ]
