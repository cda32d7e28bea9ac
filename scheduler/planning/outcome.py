"""What a plan came to, for the person or the program that asked for it."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scheduler.planning.carry import Left
from scheduler.planning.commit import Draft
from scheduler.planning.options import PPM
from scheduler.planning.reasons import head


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLine:
    """How much of the plan goes to one offer with one reduction; money in nUSD.

    Attributes:
        quality: expected, the mean over its jobs; *lower* is what it is at least.
        short_of_best: of its jobs, how many would be elsewhere but for budgets and rate limits.
    """

    offer: str
    reduction: str
    jobs: int
    cost_nusd: int
    reserved_nusd: int
    quality: float
    lower: float
    short_of_best: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonLine:
    """Jobs that wait, or fail, for one reason; *example* has one job's own figures too."""

    reason: str
    example: str
    jobs: int
    fails: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLine:
    """A budget or a rate limit as the plan leaves it.

    Attributes:
        measure: `cost_nusd` for budgets, whose use is what is set aside; `requests`, `tokens`.
        price: value that one more unit (nUSD, request, token) would buy, to first order.
        plain: the same as a sentence.
    """

    name: str
    measure: str
    limit: int
    use: int
    price: float
    plain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOutcome:
    """A plan in figures.

    Attributes:
        plan_id: None where nothing was written.
        objective: what the plan has most of: `quality`, `earnings` or `encs`.
        value: sum of priority's weight times the quality that is at least expected; in USD
            under the two other objectives.
        bound: no plan is worth more; *gap* is what is missing to it, relative.
        cost_nusd: expected; *reserved_nusd* is set aside.
        failed: of the deferred jobs, those that will get no answer.
        solve_s: how long the solve took.
    """

    plan_id: int | None
    kind: str
    jobs: int
    planned: int
    deferred: int
    failed: int
    objective: str
    value: float
    bound: float
    gap: float
    cost_nusd: int
    reserved_nusd: int
    solve_s: float
    options: tuple[OptionLine, ...]
    reasons: tuple[ReasonLine, ...]
    limits: tuple[LimitLine, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def outcome_of(draft: Draft, *, plan_id: int | None) -> PlanOutcome:
    """What *draft* comes to."""
    return PlanOutcome(
        plan_id=plan_id,
        kind=str(draft.kind),
        jobs=draft.case.window.jobs,
        planned=len(draft.chosen.jobs),
        deferred=len(draft.left),
        failed=len(draft.ended),
        objective=str(draft.objective),
        value=draft.solved.value,
        bound=draft.solved.bound,
        gap=draft.solved.gap,
        cost_nusd=draft.cost_nusd,
        reserved_nusd=draft.reserved_nusd,
        solve_s=draft.solved.seconds,
        options=tuple(_option_lines(draft)),
        reasons=tuple(_reason_lines(draft)),
        limits=tuple(
            LimitLine(
                name=row.name,
                measure=row.measure,
                limit=row.limit,
                use=round(row.use),
                price=row.price,
                plain=row.plain,
            )
            for row in draft.solved.rows
        ),
    )


def _option_lines(draft: Draft) -> list[OptionLine]:
    chosen, options = draft.chosen, draft.case.options
    values = draft.case.problem.values
    assert isinstance(values, np.ndarray)
    best = np.where(draft.case.allowed.eligible[chosen.jobs], values[chosen.jobs], -np.inf)
    is_best = best.max(1, initial=-np.inf) <= values[chosen.jobs, chosen.options]
    lines = []
    for option in np.unique(chosen.options).tolist():
        mine = chosen.options == option
        lines.append(
            OptionLine(
                offer=options.offers[int(options.offer_of[option])].offer.name,
                reduction=str(options.reduction(option)),
                jobs=int(mine.sum()),
                cost_nusd=int(chosen.cost_nusd[mine].sum()),
                reserved_nusd=int(chosen.reserved_nusd[mine].sum()),
                quality=_mean(chosen.estimates.quality[mine]),
                lower=_mean(chosen.estimates.lower[mine]),
                short_of_best=int((mine & ~is_best).sum()),
            )
        )
    return sorted(lines, key=lambda line: -line.jobs)


def _mean(share: Any) -> float:
    return round(float(share.astype(np.float64).mean()) * PPM) / PPM


def _reason_lines(draft: Draft) -> list[ReasonLine]:
    groups: dict[tuple[str, bool], list[Left]] = defaultdict(list)
    for one in draft.left:
        groups[head(one.reason), one.fails].append(one)
    lines = [
        ReasonLine(reason=reason, example=found[0].reason, jobs=len(found), fails=fails)
        for (reason, fails), found in groups.items()
    ]
    return sorted(lines, key=lambda line: (-line.jobs, line.reason))
