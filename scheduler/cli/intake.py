"""`apportion intake`: takes jobs and feedback from Kafka into the database."""

import os
import signal
import threading

import click
import structlog

from scheduler.cli.context import open_when_there
from scheduler.cli.intaking import intake_of
from scheduler.intake.consumer import run
from scheduler.logs import Redactor, configure, known_secrets
from scheduler.settings import read_settings


@click.command()
def command() -> None:
    """Take jobs and feedback from Kafka into the database, until stopped.

    `apportion serve` does this too, beside the planner; run this one alone, and as many of it
    as the topic has partitions, where intake needs machines of its own.  Every message takes
    effect exactly once, whichever of these processes is killed and whenever.

    \b
    APPORTION_KAFKA_BOOTSTRAP   brokers, like kafka1:9092,kafka2:9092
    APPORTION_JOBS_TOPIC        documents.jobs unless set
    APPORTION_FEEDBACK_TOPIC    documents.feedback unless set
    APPORTION_ROOTS             directories that a message's `path` may lie in, separated by ':'

    A message that cannot be taken becomes a dead letter, with the reason, and an event on
    documents.dead.  Ctrl-C or SIGTERM ends it between two batches.
    """
    settings = read_settings()
    intake = intake_of(settings)
    configure(
        level=settings.log_level,
        as_json=settings.log_json,
        redactor=Redactor(known_secrets(os.environ)),
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_when_there(settings, stop=stop) as service:
        if service is not None:
            run(service.engine, intake, stop=stop, log=structlog.get_logger("apportion.intake"))
