"""`apportion worker`: makes the calls that were planned, and settles them."""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import click

from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import load_catalog
from scheduler.cli.context import Service, open_when_there
from scheduler.cli.supervise import Child, keep_running, stop_on_signals
from scheduler.domain.errors import Refused
from scheduler.domain.listing import Listing, ProviderAccess
from scheduler.logs import Redactor, configure, known_secrets
from scheduler.settings import Settings, read_settings
from scheduler.store.policy_records import prove_policy
from scheduler.store.slots import own_slot
from workers.app import celery_app, serve
from workers.desk import Place
from workers.process import running

THREADS_ON_DATABASE = 6


class NoSuchProvider(Refused):
    """A worker was to serve a provider that it cannot call."""

    def __init__(self, *, name: str, known: list[str]) -> None:
        super().__init__(
            f"no offer of provider {name!r} is on here (on are: {', '.join(known) or 'none'}); "
            "`apportion offers` says why"
        )
        self.name = name


@click.command()
@click.option(
    "--providers",
    default="",
    metavar="A,B",
    help="Take parcels of these alone; all whose offers are on here, unless set.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Worker processes, kept running: one fills a core at some thousand calls a second.",
)
def command(*, providers: str, processes: int) -> None:
    """Do what is planned: call providers, settle what they bill, publish what they answer.

    Run as many as you like, on as many machines: no two get the same parcel, and rate limits and
    breakers are shared.  A job whose offer fails moves to its next best one, so give every worker
    the keys of all providers, whichever it takes parcels of.

    Keys are read from the environment variables that the catalog names, by this process alone.
    Ctrl-C or SIGTERM ends it cleanly: no new calls, what is under way is waited for
    (APPORTION_POLICY's work.stop_s), and the rest of its parcels is for others at once.
    """
    settings = read_settings()
    listings = _on(settings)
    configure(
        level=settings.log_level,
        as_json=settings.log_json,
        redactor=Redactor(
            known_secrets(os.environ, key_variables={one.key_variable or "" for one in listings})
        ),
    )
    names = _providers(providers, listings)
    if processes > 1:
        _keep(processes, names)
        return
    # Until Celery starts, a signal ends the process as it is.
    never = threading.Event()
    with open_when_there(settings, stop=never, pool_size=THREADS_ON_DATABASE) as service:
        assert service is not None
        sys.exit(_work(settings, service, names))


def _work(settings: Settings, service: Service, providers: list[str]) -> int:
    policies = settings.policies
    worker = f"{uuid4().hex[:6]}-{os.getpid()}@{socket.gethostname()}"
    with service.engine.begin() as conn:
        prove_policy(conn, policies)
    with own_slot(service.engine) as slot:
        place = Place(
            worker=worker,
            stream=f"work-{slot}",
            policy=policies.digest().hex(),
            topic=settings.results_topic,
            wait_s=policies.plan.deferral_s,
            wait_most_s=policies.plan.deferral_max_s,
        )

        def access_to() -> Mapping[str, ProviderAccess]:
            call_s = policies.work.call_s
            return {
                one.offer.name: replace(one.access, timeout_s=min(one.access.timeout_s, call_s))
                for one in _on(settings)
            }

        with running(
            service.engine,
            access_to=access_to,
            policy=policies.work,
            place=place,
            one_processor=settings.one_processor,
        ) as floor:
            app = celery_app(service.broker_url)
            return serve(app, floor, name=worker, providers=providers)


def _on(settings: Settings) -> list[Listing]:
    today = datetime.now(UTC).date()
    listings = offers_on(load_catalog(settings.catalog), today=today, environ=os.environ)
    return [one for one in listings if one.is_on]


def _providers(given: str, listings: list[Listing]) -> list[str]:
    known = sorted({one.offer.provider for one in listings})
    names = [name.strip() for name in given.split(",") if name.strip()] or known
    for name in names:
        if name not in known:
            raise NoSuchProvider(name=name, known=known)
    return names


def _keep(processes: int, providers: list[str]) -> None:
    """Run workers as processes of their own, and start again any that dies."""
    argv = [sys.executable, "-m", "scheduler", "worker", "--providers", ",".join(providers)]
    keep_running(
        [
            Child(name=f"worker {number}", argv=argv, environ=os.environ)
            for number in range(1, processes + 1)
        ],
        stop=stop_on_signals(),
    )
