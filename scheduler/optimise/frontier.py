"""The front of cost against value: what each budget would buy, and how single options compare."""

import itertools
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Refused
from scheduler.domain.plan import Row, RowKind
from scheduler.optimise.batches import branch
from scheduler.optimise.checking import check
from scheduler.optimise.columns import Columns
from scheduler.optimise.kernels import Wholes
from scheduler.optimise.problem import COST, QUALITY, Objective, Problem
from scheduler.optimise.result import Result
from scheduler.optimise.search import Found, Limits
from scheduler.optimise.solve import solve

BUDGET = "the front's budget"
GOODNESS = "the option's quality"


class NoFront(Refused):
    """There is no plan at all, and so no front."""

    def __init__(self) -> None:
        super().__init__("no plan keeps every rule; `solve` says which rules exclude each other")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """One plan on the front.

    Attributes:
        cost_nusd: what it costs.
        value: what it is worth.
        bound: no plan that costs as much or less is worth more.
        price: what one more USD would buy there.
        choice: (n,) int32.
    """

    cost_nusd: int
    value: float
    bound: float
    price: float
    choice: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleOption:
    """Every job that may have one option, having it; the others deferred.

    Attributes:
        option: which.
        cost_nusd: what that costs.
        value: what it is worth.
        quality_ppm: the sum of the values in whole parts per million.
        served: how many jobs.
    """

    option: int
    cost_nusd: int
    value: float
    quality_ppm: int
    served: int


def frontier(
    problem: Problem, *, points: int = 20, seed: int = 0, time_limit_s: float = 60.0
) -> tuple[FrontierPoint, ...]:
    """Up to *points* plans from the cheapest to the best; none is dearer and worth no more.

    Each budget halves the widest gap there is, and starts from prices already known.  Without
    rows of its own, a problem's points are exactly on the front: the plan at a price is the
    best there is for what it costs.  With rows, each point carries its bound.

    Raises:
        BadProblem: see `solve`.
        NoFront: no plan keeps every row.
    """
    check(problem)
    if COST not in problem.measures:
        return ()
    columns = Columns(problem)
    started = perf_counter()
    limits = Limits(gap=1e-4, left_s=lambda: started + time_limit_s - perf_counter())
    low, high = _ends(columns, limits, seed)
    found = [low, high]
    prices: dict[str, float] = {}
    for _ in range(points - 2):
        budget = _widest(found)
        if budget is None or not limits.timely():
            break
        rows = (*problem.rows, Row(name=BUDGET, measure=COST, limit=budget))
        answer, _ = branch(columns, rows, limits=limits, seed=seed, prices=prices)
        if answer.plan is None:
            break
        prices = dict(zip(answer.rows.names, answer.point.prices.tolist(), strict=True))
        found.append(_point(columns, answer, supported=not problem.rows))
    return _undominated(found)


def _widest(found: list[FrontierPoint]) -> int | None:
    """A budget in the middle of the widest gap of the front, as a person would see it."""
    front = _undominated(found)
    span = max(1, front[-1].cost_nusd - front[0].cost_nusd)
    rise = max(1e-300, front[-1].value - front[0].value)
    gaps = [
        ((dear.cost_nusd - cheap.cost_nusd) / span + (dear.value - cheap.value) / rise, k)
        for k, (cheap, dear) in enumerate(itertools.pairwise(front))
        if dear.cost_nusd - cheap.cost_nusd > 1
    ]
    if not gaps:
        return None
    _, k = max(gaps)
    return (front[k].cost_nusd + front[k + 1].cost_nusd) // 2


def _ends(columns: Columns, limits: Limits, seed: int) -> tuple[FrontierPoint, FrontierPoint]:
    """The plan that is worth most, and the cheapest: what the front lies between."""
    problem = columns.problem
    best, _ = branch(columns, problem.rows, limits=limits, seed=seed)
    frugal = Columns(replace(problem, objective=Objective.COST))
    cheapest, _ = branch(frugal, problem.rows, limits=limits, seed=seed)
    if best.plan is None or cheapest.plan is None:
        raise NoFront
    value, used = columns.measure_up(cheapest.plan)
    value -= columns.charged(used)
    cost_nusd = int(used[columns.measures.index(COST)].sum())
    low = FrontierPoint(
        cost_nusd=cost_nusd, value=value, bound=np.inf, price=np.inf, choice=cheapest.plan
    )
    return low, _point(columns, best, supported=False)


def _point(columns: Columns, found: Found, *, supported: bool) -> FrontierPoint:
    names = found.rows.names
    price = found.point.prices[names.index(BUDGET)] if BUDGET in names else 0.0
    assert found.plan is not None
    plan, value, bound, used = found.plan, found.value, found.bound, found.used
    if supported:
        # What every job takes at one price is the best plan for its own cost, exactly.
        plan = found.point.priced.choice
        worth, used = columns.measure_up(plan)
        value = bound = worth - columns.charged(used)
    return FrontierPoint(
        cost_nusd=int(used[columns.measures.index(COST)].sum()),
        value=value,
        bound=bound,
        price=float(price) * 1e9,
        choice=plan,
    )


def _undominated(points: list[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=lambda p: (p.cost_nusd, -p.value)):
        if not kept or point.value > kept[-1].value:
            kept.append(point)
    return tuple(kept)


def single_options(problem: Problem) -> tuple[SingleOption, ...]:
    """What it would be to use one option for all jobs, for each option."""
    check(problem)
    quality = Row(name=GOODNESS, measure=QUALITY, limit=0)
    columns = Columns(replace(problem, rows=(quality,)))
    return tuple(_single(columns, option) for option in range(problem.options))


def _single(columns: Columns, option: int) -> SingleOption:
    plan = np.where(columns.allows(option), option, -1).astype(np.int32)
    worth, used = columns.measure_up(plan)

    def total(measure: str) -> int:
        sums: Wholes = used[columns.measures.index(measure)]
        return int(sums.sum())

    return SingleOption(
        option=option,
        cost_nusd=total(COST),
        value=worth - columns.charged(used),
        quality_ppm=total(QUALITY),
        served=int(np.count_nonzero(plan >= 0)),
    )


def cheapest_as_good_as(
    problem: Problem, option: int, *, seed: int = 0, time_limit_s: float = 60.0
) -> Result:
    """The cheapest plan whose values add up to no less than *option* for every job."""
    quality_ppm = single_options(problem)[option].quality_ppm
    row = Row(name=GOODNESS, measure=QUALITY, limit=quality_ppm, kind=RowKind.LEAST)
    frugal = replace(problem, objective=Objective.COST, rows=(*problem.rows, row))
    return solve(frugal, seed=seed, time_limit_s=time_limit_s)


def best_as_cheap_as(
    problem: Problem, option: int, *, seed: int = 0, time_limit_s: float = 60.0
) -> Result:
    """The best plan that costs no more than *option* for every job."""
    cost_nusd = single_options(problem)[option].cost_nusd
    row = Row(name=BUDGET, measure=COST, limit=cost_nusd)
    return solve(replace(problem, rows=(*problem.rows, row)), seed=seed, time_limit_s=time_limit_s)
