"""All that a plan goes by, read at one instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from scheduler.planning.limits import room_of
from scheduler.planning.window import Span
from scheduler.store.budgets import BudgetLine, list_budgets
from scheduler.store.embeddings import NO_VECTORS, Vectors
from scheduler.store.estimators import Estimator, active_estimators
from scheduler.store.offers import PlanOffer, plan_offers
from scheduler.store.parcels_made import Undone, undone_work
from scheduler.store.tables.scopes import scope
from scheduler.store.windows import Window, read_window

JOBS_LEAST = 100
"""A window takes so many jobs even when there is room for fewer, for a choice among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The window, and the world around it.

    Attributes:
        budgets: those of today.
        undone: by offer's id, what is planned, not finished, and due within the horizon.
        project_paths: by id, of the window's projects.
        estimators: the active ones; a kind without one has none.
    """

    window: Window
    offers: tuple[PlanOffer, ...]
    budgets: tuple[BudgetLine, ...]
    undone: Mapping[int, Undone]
    project_paths: Mapping[int, str]
    estimators: tuple[Estimator, ...]


def read(
    conn: Connection, wanted: Span, *, now: datetime, vectors: Vectors = NO_VECTORS
) -> Reading:
    """Read the jobs that are *wanted* and what their plan goes by; *conn* sees one instant."""
    by_then = now + timedelta(seconds=wanted.horizon_s)
    offers, undone = tuple(plan_offers(conn)), undone_work(conn, before=by_then)
    room = requests_left(offers, undone, horizon_s=wanted.horizon_s)
    limit = min(wanted.jobs_max, max(room, JOBS_LEAST)) if wanted.within_room else wanted.jobs_max
    window = read_window(conn, before=wanted.before, limit=limit, vectors=vectors)
    projects = sorted(set(window.project_id.tolist()))
    paths = conn.execute(select(scope.c.id, scope.c.path).where(scope.c.id.in_(projects)))
    return Reading(
        window=window,
        offers=offers,
        budgets=tuple(list_budgets(conn, on=now.date())),
        undone=undone,
        project_paths={row.id: row.path for row in paths},
        estimators=tuple(active_estimators(conn)),
    )


def requests_left(
    offers: Sequence[PlanOffer], undone: Mapping[int, Undone], *, horizon_s: float
) -> int:
    """How many more requests all *offers* together have room for."""
    return sum(room_of(one, undone, horizon_s=horizon_s).requests for one in offers)
