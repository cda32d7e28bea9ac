"""Works a project's jobs off from here: plans, rings and keeps workers until all is done."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scheduler.cli.context import Service, embedder_of
from scheduler.cli.parts import run_parts, sync_offers
from scheduler.cli.supervise import Child, keep_running
from scheduler.estimate.embedding import Embedder
from scheduler.planning.outcome import PlanOutcome
from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from scheduler.settings import Settings
from scheduler.store.project_standing import Standing, offers_resting, standing

LOOK_S = 0.2
"""How often the jobs are looked at while they are worked off."""
PLANS_MAX = 1_000
"""So many windows one run may close; far more than any has a use for."""


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Who is told how a run goes; the defaults say nothing."""

    planned: Callable[[PlanOutcome], None] = field(default=lambda _outcome: None)
    looked: Callable[[Standing], None] = field(default=lambda _standing: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended; *reasons* say why jobs still wait."""

    standing: Standing
    reasons: tuple[str, ...] = ()


def work_off(
    service: Service,
    settings: Settings,
    *,
    project_id: int,
    workers: int,
    watcher: Watcher,
    stop: threading.Event,
) -> Ended:
    """Plan and work off the project's jobs until all are over, or none of the rest can be planned.

    Blocks.  When *stop* is set it ends early, with all that was answered settled; called again,
    it goes on from there.

    Raises:
        Unavailable: the database or the planner's lock cannot be had.
    """
    sync_offers(service, settings)
    embedder = embedder_of(settings)
    with _hands(service, settings, workers=workers, stop=stop):
        reasons: tuple[str, ...] = ()
        for _ in range(PLANS_MAX):
            now = _look(service, project_id, watcher)
            if stop.is_set() or now.over == now.jobs:
                break
            if now.queued:
                outcome = _plan(service, settings, embedder)
                if outcome is not None:
                    watcher.planned(outcome)
                    reasons = tuple(line.example for line in outcome.reasons if not line.fails)
                if (outcome is None or not outcome.planned) and not now.planned:
                    if not _may_recover(service, stop):
                        break
                    continue
            _wait_until_worked_off(service, project_id, watcher, stop)
    # Not before the workers have ended: told to stop, they settle what was under way.
    ended = _look(service, project_id, watcher)
    return Ended(standing=ended, reasons=reasons if ended.queued else ())


def _plan(service: Service, settings: Settings, embedder: Embedder | None) -> PlanOutcome | None:
    return plan_window(
        service.engine,
        kind=WindowKind.ASKED,
        now=datetime.now(UTC),
        policy=settings.policies,
        results_topic=settings.results_topic,
        waves=True,
        embedder=embedder,
    )


def _wait_until_worked_off(
    service: Service, project_id: int, watcher: Watcher, stop: threading.Event
) -> None:
    """Wait until no job is with a worker: then money that was set aside in vain is free again."""
    while not stop.wait(LOOK_S):
        if not _look(service, project_id, watcher).planned:
            return


def _look(service: Service, project_id: int, watcher: Watcher) -> Standing:
    with service.engine.connect() as conn:
        now = standing(conn, project_id=project_id)
    watcher.looked(now)
    return now


def _may_recover(service: Service, stop: threading.Event) -> bool:
    """Whether an offer rests whose return may change the plan; waits a little if so."""
    with service.engine.connect() as conn:
        resting = offers_resting(conn)
    return bool(resting) and not stop.wait(1.0)


@contextmanager
def _hands(
    service: Service, settings: Settings, *, workers: int, stop: threading.Event
) -> Iterator[None]:
    """Relay and rescue in this process, and worker processes, for as long as the block runs.

    The workers end first, for the relay to have what they tell last.  Should one of them fail for
    good, *stop* is set, and its error is raised at the block's end.
    """
    errors: list[Exception] = []

    def run(work: Callable[[threading.Event], None], ends: threading.Event) -> None:
        try:
            work(ends)
        except Exception as error:
            errors.append(error)
            stop.set()

    children = [_worker(number, settings) for number in range(1, workers + 1)]
    works = (
        lambda ends: keep_running(children, stop=ends),
        lambda ends: run_parts(("relay", "rescue"), service, settings, stop=ends),
    )
    hands = []
    for work in works:
        ends = threading.Event()
        hands.append((ends, threading.Thread(target=run, args=(work, ends))))
    for _, thread in hands:
        thread.start()
    try:
        yield
    finally:
        for ends, thread in hands:
            ends.set()
            thread.join()
    if errors:
        raise errors[0]


def _worker(number: int, settings: Settings) -> Child:
    return Child(
        name=f"worker {number}",
        argv=[sys.executable, "-m", "scheduler", "worker"],
        environ=os.environ
        # What a person should see, this process shows.
        | {"APPORTION_HOME": str(settings.home), "APPORTION_LOG_LEVEL": "ERROR"},
    )
