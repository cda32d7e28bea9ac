"""The planner as a process: looks at the queue, closes windows, waits out what fails."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.errors import Overtaken, Unavailable
from scheduler.domain.job import When
from scheduler.domain.policy import Policy
from scheduler.estimate.embedding import Embedder
from scheduler.planning.embedding import embed_queued
from scheduler.planning.judging import look_back, queue_judgings
from scheduler.planning.night import next_night
from scheduler.planning.outcome import PlanOutcome
from scheduler.planning.planner import PlannerBusy, plan_window
from scheduler.planning.reading import requests_left
from scheduler.planning.window import EVER, closed_window
from scheduler.store.offers import plan_offers
from scheduler.store.parcels_made import undone_work
from scheduler.store.passing import first_line, is_passing
from scheduler.store.waking import bring_forward, latest_change, wake

logger = structlog.get_logger(__name__)

TIDY_S = 30.0
"""How often jobs for the night are looked at whose deadline comes first."""
WAIT_MOST_S = 30.0
AHEAD_S, AHEAD_EVERY_S = 1.0, 10.0
"""So long a planner with nothing to plan embeds at a time, and so often it looks for more."""
AHEAD_DOCUMENTS = 2_048


@dataclass(slots=True)
class Look:
    """What the loop remembers between two looks at the queue; nothing is lost with it.

    Attributes:
        woken: up to when changes of budgets and offers were followed.
        tidied: when the nightly jobs were last looked through.
        judged: when finished jobs were last looked through for some to be judged.
        embedded: when documents were looked for that lack an embedding, and no more were there.
        unreadable: how many of them could not be read since then: they are still the first.
    """

    woken: datetime | None = field(default=None)
    tidied: datetime | None = field(default=None)
    judged: datetime | None = field(default=None)
    embedded: datetime | None = field(default=None)
    unreadable: int = field(default=0)


def run(
    engine: Engine,
    *,
    policy: Policy,
    results_topic: str,
    stop: Event,
    embedder: Embedder | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Plan windows as they close, until *stop* is set.  Blocks.

    Any number of processes may run this: whoever finds a closed window first plans it, and
    the others find it planned.

    Raises:
        BadNight: the policy's crontab cannot be read.
        Broken: an invariant does not hold; a person must look.
    """
    look = Look()
    wait_s = policy.plan.poll_s
    while not stop.is_set():
        try:
            outcome = step(
                engine, look, now=clock(), policy=policy, results_topic=results_topic,
                embedder=embedder,
            )  # fmt: skip
            if outcome is None and embedder is not None:
                embed_ahead(engine, look, embedder, now=clock())
            wait_s = policy.plan.poll_s
        except (DBAPIError, Unavailable, Overtaken) as trouble:
            if isinstance(trouble, DBAPIError) and not is_passing(trouble):
                raise
            logger.warning("planner waits", reason=first_line(trouble), wait_s=wait_s)
            outcome, wait_s = None, min(max(wait_s, policy.plan.poll_s) * 2, WAIT_MOST_S)
        if outcome is None:
            stop.wait(wait_s)


def step(
    engine: Engine,
    look: Look,
    *,
    now: datetime,
    policy: Policy,
    results_topic: str,
    embedder: Embedder | None = None,
) -> PlanOutcome | None:
    """Plan one window if one is closed at *now*; what it came to."""
    with engine.begin() as conn:
        _follow_changes(conn, look, now=now, policy=policy)
        left = _room(conn, now=now, horizon_s=policy.plan.horizon_s)
        kind = closed_window(conn, policy=policy.plan, now=now, room=left)
    _judge(engine, look, now=now, policy=policy)
    if kind is None:
        return None
    try:
        outcome = plan_window(
            engine, kind=kind, now=now, policy=policy, results_topic=results_topic, wait_s=0,
            embedder=embedder,
        )  # fmt: skip
    except PlannerBusy:
        # Another process closed the same window, and has it in hand.
        return None
    if outcome is not None:
        _tell(outcome)
    return outcome


def _room(conn: Connection, *, now: datetime, horizon_s: float) -> int:
    undone = undone_work(conn, before=now + timedelta(seconds=horizon_s))
    return requests_left(plan_offers(conn), undone, horizon_s=horizon_s)


def embed_ahead(engine: Engine, look: Look, embedder: Embedder, *, now: datetime) -> None:
    """Embed documents of jobs whose window is not closed yet, as those of the next night.

    Those that cannot be read are passed by, until all others are embedded.  A look that found
    nothing is not repeated for a while: it reads the whole queue.
    """
    if look.embedded is not None and now < look.embedded + timedelta(seconds=AHEAD_EVERY_S):
        return
    before = dict.fromkeys(When, EVER)
    found = embed_queued(
        engine.begin,
        embedder,
        before=before,
        limit=AHEAD_DOCUMENTS,
        seconds=AHEAD_S,
        passed=look.unreadable,
    )
    is_over = not (found.done or found.unreadable or found.not_reached)
    look.unreadable = 0 if is_over else look.unreadable + found.unreadable
    look.embedded = now if is_over else None


def _follow_changes(conn: Connection, look: Look, *, now: datetime, policy: Policy) -> None:
    latest = latest_change(conn, now=now)
    if latest is not None and (look.woken is None or latest > look.woken):
        if woken := wake(conn, now=now):
            logger.info("jobs woken", jobs=woken, why="a budget or an offer changed")
        look.woken = latest
    if look.tidied is None or now >= look.tidied + timedelta(seconds=TIDY_S):
        if forward := bring_forward(conn, night=next_night(policy.plan, now)):
            logger.info("jobs brought forward", jobs=forward, why="due before the next night")
        look.tidied = now


def _judge(engine: Engine, look: Look, *, now: datetime, policy: Policy) -> None:
    since = look_back(policy.judge, last=look.judged, now=now)
    if since is not None:
        queue_judgings(engine, policy=policy.judge, since=since, now=now)
        look.judged = now


def _tell(outcome: PlanOutcome) -> None:
    logger.info(
        "planned",
        plan=outcome.plan_id,
        window=outcome.kind,
        jobs=outcome.jobs,
        planned=outcome.planned,
        deferred=outcome.deferred,
        failed=outcome.failed,
        reserved_nusd=outcome.reserved_nusd,
        gap=outcome.gap,
        solve_s=round(outcome.solve_s, 3),
    )
