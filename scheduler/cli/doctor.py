"""`apportion doctor`: looks at everything the service stands on."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import load_catalog
from scheduler.cli.context import open_service
from scheduler.cli.printing import print_json
from scheduler.domain.errors import SchedulerError
from scheduler.domain.listing import Listing
from scheduler.estimate.errors import UnknownVersion
from scheduler.monitoring.checks import Check, Health, fault, well
from scheduler.monitoring.doctor import (
    check_broker,
    check_catalog,
    check_database,
    check_disk,
    check_embedding,
    check_kafka,
    check_policy,
)
from scheduler.planning.estimates import estimators_in_use
from scheduler.planning.night import next_night
from scheduler.settings import BadSettings, Settings, read_settings

STYLES = {Health.OK: "green", Health.WARNING: "yellow", Health.FAULT: "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def command(*, as_json: bool) -> None:
    """Check database, Kafka, broker, policy, keys, catalog, clock and disk; say what to do.

    It changes nothing, and prints no key.  The exit status is 1 if something must be mended;
    a warning alone leaves it 0.
    """
    checks = list(_checks(read_settings()))
    if as_json:
        print_json(checks)
    else:
        _print(checks)
    if any(check.health is Health.FAULT for check in checks):
        sys.exit(1)


def _checks(settings: Settings) -> Iterator[Check]:
    learned_on = None
    try:
        with open_service(settings) as service, service.engine.connect() as conn:
            yield from check_database(
                conn, now=lambda: datetime.now(UTC), is_embedded=service.embedded
            )
            learned_on = _learned_on(conn)
    except SchedulerError as error:
        yield fault("database", str(error), "the rest needs it: mend it first")
    if settings.broker_url is not None:
        yield check_broker(settings.broker_url.get_secret_value())
    else:
        yield well("broker", "the database: APPORTION_BROKER_URL is not set")
    if settings.kafka_bootstrap:
        yield from _kafka(settings)
    else:
        yield well("kafka", "not used: APPORTION_KAFKA_BOOTSTRAP is not set")
    yield check_policy(lambda: next_night(settings.policies.plan, datetime.now(UTC)))
    yield from check_catalog(lambda: _listings(settings))
    yield from check_embedding(settings.embedding, learned_on=learned_on)
    yield check_disk(settings.home)


def _kafka(settings: Settings) -> Iterator[Check]:
    try:
        options = settings.kafka
    except BadSettings as error:
        yield fault("kafka", str(error), "mend APPORTION_KAFKA_OPTIONS")
        return
    yield from check_kafka(options, topics=_topics(settings))


def _learned_on(conn: Connection) -> str | None:
    """The embedding model that the quality predictor in use reads; None where nothing is known."""
    try:
        return estimators_in_use(conn).quality.representation
    except (UnknownVersion, ProgrammingError):
        # Other checks say that this is another version's database.
        return None


def _listings(settings: Settings) -> list[Listing]:
    today = datetime.now(UTC).date()
    return offers_on(load_catalog(settings.catalog), today=today, environ=os.environ)


def _topics(settings: Settings) -> list[str]:
    return [
        settings.jobs_topic,
        settings.results_topic,
        settings.dead_topic,
        settings.feedback_topic,
    ]


def _print(checks: list[Check]) -> None:
    console = Console(soft_wrap=True)
    for check in checks:
        line = Text.assemble(
            (f"{check.health:>7}", STYLES[check.health]), f"  {check.part}: {check.found}"
        )
        console.print(line)
        if check.advice:
            console.print(Text(f"         {check.advice}", style="italic"))
