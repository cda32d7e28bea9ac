"""One window planned on a real Postgres, for tests that look at what was written."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from scheduler.domain.policy import Policy
from scheduler.estimate.embedding import Embedder
from scheduler.planning.outcome import PlanOutcome
from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from tests.planning.queued import (
    CHEAP,
    FREE,
    GOOD,
    NOON,
    TOPIC,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    policy,
    rows,
)


def plan(
    engine: Engine,
    *,
    kind: WindowKind = WindowKind.CONTINUOUS,
    now: datetime = NOON,
    by: Policy | None = None,
    embedder: Embedder | None = None,
) -> PlanOutcome:
    outcome = plan_window(
        engine,
        kind=kind,
        now=now,
        policy=by or policy(),
        results_topic=TOPIC,
        wait_s=0,
        embedder=embedder,
    )
    assert outcome is not None
    return outcome


def one(conn: Connection, query: str) -> Any:
    [row] = rows(conn, query)
    return row


def ready(engine: Engine, *wishes: Wish, usd: float | None = 1) -> None:
    """Three offers, a budget for acme, and *wishes*."""
    with engine.begin() as conn:
        add_offers(conn, CHEAP, GOOD, FREE)
        if usd is not None:
            add_budget(conn, usd)
        add_jobs(conn, *wishes)
