"""The rows of a window's problem: what budgets have left, and what providers can take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.domain.plan import Row
from scheduler.planning.options import REDUCTIONS, Options
from scheduler.planning.reasons import period_text
from scheduler.store.budgets import BudgetLine
from scheduler.store.offers import PlanOffer
from scheduler.store.parcels_made import Undone

COST = "cost_nusd"
REQUESTS = "requests"
TOKENS = "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """A budget of today and the row that holds a plan to what is free of it."""

    scope: str
    period: str
    free_nusd: int
    row: Row


def covers(scope: str, project: str) -> bool:
    """Whether the budget of *scope* bears what *project* spends; both are paths."""
    return project == scope or project.startswith(f"{scope}/")


def funds(budgets: Sequence[BudgetLine], projects: Sequence[str]) -> list[Fund]:
    """The budgets that bear any of *projects* (paths, by group); others are left out."""
    found = []
    for line in budgets:
        groups = tuple(g for g, path in enumerate(projects) if covers(line.scope, path))
        if groups:
            period = period_text(line.starts_on, line.ends_on)
            free_nusd = max(line.free_nusd, 0)
            row = Row(name=f"{line.scope} {period}", measure=COST, limit=free_nusd, groups=groups)
            found.append(Fund(scope=line.scope, period=period, free_nusd=free_nusd, row=row))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What an offer's rate limits still take."""

    requests: int
    tokens: int


def room_of(one: PlanOffer, undone: Mapping[int, Undone], *, horizon_s: float) -> Room:
    """What *one* takes within *horizon_s*, less what is planned for it and not yet done."""
    waiting = undone.get(one.id, Undone(jobs=0, tokens=0))
    minutes = horizon_s / 60
    return Room(
        requests=max(int(one.offer.requests_per_minute * minutes) - waiting.jobs, 0),
        tokens=max(int(one.offer.tokens_per_minute * minutes) - waiting.tokens, 0),
    )


def capacity_rows(options: Options, undone: Mapping[int, Undone], *, horizon_s: float) -> list[Row]:
    """Two rows per offer: the requests and the tokens that it has room for."""
    rows = []
    for k, one in enumerate(options.offers):
        left = room_of(one, undone, horizon_s=horizon_s)
        mine = tuple(range(k * len(REDUCTIONS), (k + 1) * len(REDUCTIONS)))
        for measure, limit in ((REQUESTS, left.requests), (TOKENS, left.tokens)):
            name = f"{measure} {one.offer.name}"
            rows.append(Row(name=name, measure=measure, limit=limit, options=mine))
    return rows


def budgeted(budgets: Sequence[BudgetLine], projects: Sequence[str]) -> list[bool]:
    """For each of *projects*, whether any budget bears what it spends."""
    return [any(covers(line.scope, path) for line in budgets) for path in projects]
