"""The service's parts, each a loop that runs until it is told to stop.

A part imports what it runs when it runs: four processes that each import the solver, Kafka and
Celery take seconds longer to start.
"""

import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import DBAPIError

from scheduler.catalog.errors import BadCatalog
from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import load_catalog
from scheduler.cli.compile import compile_beside
from scheduler.cli.context import Service, embedder_of
from scheduler.domain.listing import Listing
from scheduler.settings import Settings
from scheduler.store.migrate import ensure_partitions
from scheduler.store.offers import sync_catalog
from scheduler.store.passing import first_line, is_passing

LOG = structlog.get_logger("apportion.serve")
HOUSEKEEPING_S = 3600.0
"""How often the catalog's prices of the day and the months' partitions are looked after."""
AGAIN_S = 60.0
"""How long after a time at which that could not be done."""
AWAY_S = 1.0
"""How long after a time at which what all else waits for could not be done."""

Loop = Callable[[Service, Settings, threading.Event], None]


def listings_of(settings: Settings) -> list[Listing]:
    """Every offer of the catalog as it is today, in this process's environment."""
    today = datetime.now(UTC).date()
    return offers_on(load_catalog(settings.catalog), today=today, environ=os.environ)


def sync_offers(service: Service, settings: Settings) -> None:
    """Put the catalog's offers, with today's prices, into the database."""
    listings = listings_of(settings)
    with service.engine.begin() as conn:
        sync_catalog(conn, listings)


def _intake(service: Service, settings: Settings, stop: threading.Event) -> None:
    from scheduler.cli.intaking import intake_of
    from scheduler.intake import consumer

    consumer.run(service.engine, intake_of(settings), stop=stop, log=LOG)


def _planner(service: Service, settings: Settings, stop: threading.Event) -> None:
    from scheduler.planning import loop

    compile_beside()
    # Before the first window: without its offers that window's jobs would be put off, or fail.
    _as_soon_as_may_be(lambda: sync_offers(service, settings), what="the catalog", stop=stop)
    loop.run(
        service.engine,
        policy=settings.policies,
        results_topic=settings.results_topic,
        embedder=embedder_of(settings),
        stop=stop,
    )


def _catalog(service: Service, settings: Settings, stop: threading.Event) -> None:
    _now_and_then(lambda: sync_offers(service, settings), what="the catalog", stop=stop)


def _bells(service: Service, settings: Settings, stop: threading.Event) -> None:
    from celery import Celery

    from scheduler.planning import bells

    app = Celery("apportion", broker=service.broker_url, set_as_current=False)
    bells.run(service.engine, app, policy=settings.policies.plan, stop=stop)


def _publisher(service: Service, settings: Settings, stop: threading.Event) -> None:
    from scheduler.planning import publish

    if settings.kafka_bootstrap is None:
        publish.discard(service.engine, stop=stop, log=LOG)
    else:
        publishing = publish.Publishing(kafka=settings.kafka, name=settings.kafka_group)
        publish.run(service.engine, publishing, stop=stop, log=LOG)


def _rescue(service: Service, settings: Settings, stop: threading.Event) -> None:
    from scheduler.planning import rescue

    rescue.run(service.engine, policy=settings.policies, stop=stop)


def _partitions(service: Service, settings: Settings, stop: threading.Event) -> None:  # noqa: ARG001 - a Loop's shape
    def ensure() -> None:
        with service.engine.begin() as conn:
            ensure_partitions(conn)

    _now_and_then(ensure, what="partitions", stop=stop)


def _as_soon_as_may_be(work: Callable[[], None], *, what: str, stop: threading.Event) -> None:
    """Do *work*, again and again while the database is away."""
    while not stop.is_set():
        try:
            work()
            return
        except DBAPIError as error:
            if not is_passing(error):
                raise
            LOG.warning("waits for Postgres", what=what, reason=first_line(error))
        stop.wait(AWAY_S)


def _now_and_then(work: Callable[[], None], *, what: str, stop: threading.Event) -> None:
    """Do *work* every `HOUSEKEEPING_S`; what is there stays in use while it cannot be done.

    The database may be away for a while, and a person may be in the midst of writing the catalog.
    """
    wait_s = HOUSEKEEPING_S
    while not stop.wait(wait_s):
        wait_s = HOUSEKEEPING_S
        try:
            work()
        except (DBAPIError, BadCatalog) as error:
            if isinstance(error, DBAPIError) and not is_passing(error):
                raise
            wait_s = AGAIN_S
            LOG.warning("cannot be looked after now", what=what, reason=first_line(error))


PARTS: dict[str, tuple[Loop, ...]] = {
    "intake": (_intake,),
    "planner": (_catalog, _planner),
    "relay": (_bells, _publisher),
    "rescue": (_rescue, _partitions),
}
"""What each part runs, side by side."""


def run_parts(
    names: Iterable[str], service: Service, settings: Settings, *, stop: threading.Event
) -> None:
    """Run the parts *names* in this process until *stop*; blocks.

    A loop that fails stops them all, and its error is raised here: a part that is half there
    would go unnoticed.
    """
    errors: list[BaseException] = []

    def run(one: Loop) -> None:
        try:
            one(service, settings, stop)
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [
        threading.Thread(target=run, args=(one,), name=f"{name}{one.__name__}", daemon=True)
        for name in names
        for one in PARTS[name]
    ]
    for thread in threads:
        thread.start()
    # A thread that is joined for ever keeps signals from being handled.
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)
    if errors:
        raise errors[0]
