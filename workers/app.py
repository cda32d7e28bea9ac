"""The Celery app: it rings the bell, and Postgres holds the work."""

import logging
import warnings
from collections.abc import Sequence

import structlog
from billiard.exceptions import RestartFreqExceeded
from celery import Celery, signals
from celery.apps.worker import Worker
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning, WorkerShutdown
from celery.worker.consumer import Consumer

from scheduler.domain.errors import Refused
from workers.bell import broker_url
from workers.process import Running

LOG = structlog.get_logger()

TASK = "apportion.work"

TELLERS = ("celery.worker.request", "celery.worker.loops", "celery.worker.consumer.consumer")
"""Which of Celery's loggers tell of a lost broker by a traceback."""

# Bells that are answered at a time: one per provider is at work, the others end at once.
ANSWERS = 16


class BrokerRefused(Refused):
    """Celery's broker answers, and does not let the worker in; the message has no password."""

    def __init__(self, *, where: str, reason: str) -> None:
        super().__init__(
            f"Celery's broker at {where} turns this worker away: {reason}; mend the user, password"
            " and path in APPORTION_BROKER_URL, or what that user may do there"
        )
        self.where = where
        self.reason = reason


class _Consumer(Consumer):  # type: ignore[misc]
    """Celery's, but that it keeps why it was turned away, which would be told by a traceback."""

    refusal: str | None = None

    def start(self) -> None:
        try:
            super().start()
        except self.channel_errors as error:
            self.refusal = " ".join(str(error).split())
            raise WorkerShutdown(1) from None


def queue_of(provider: str) -> str:
    """The Celery queue of *provider*'s parcels."""
    return f"apportion.{provider}"


class LostConnection(logging.Filter):
    """Makes a line of Celery's traceback for what it could not end as the broker was lost.

    So is a bell that it could not acknowledge, which comes again and ends at once, or a read that
    was still to come.  That the connection is lost, Celery says in a line of its own; and that it
    was lost five times in a second, after which it waits for one.
    """

    def __init__(self, errors: tuple[type[BaseException], ...]) -> None:
        super().__init__()
        self._errors = errors

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], self._errors):
            record.exc_info = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def lost_connection(app: Celery) -> LostConnection:
    """What makes lines of the tracebacks by which *app* tells of its broker."""
    return LostConnection((*app.connection_for_read().connection_errors, RestartFreqExceeded))


def celery_app(url: str) -> Celery:
    """An app that consumes from the broker at *url*."""
    app = Celery("apportion", broker=broker_url(url), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        # Postgres or RabbitMQ may be away for longer than a hundred tries.
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # It would have the threads that answer bells read from the connection beside Celery's own
        # loop.  After the broker's return one of them waited for ever for what the other had read.
        worker_enable_prefetch_count_reduction=False,
    )
    return app


def serve(app: Celery, running: Running, *, name: str, providers: Sequence[str]) -> int:
    """Answer the bells of *providers* until the process is told to stop; Celery's exit status.

    *name* is the worker's in Celery, like `name@host`.  A broker that is away is waited for.

    Raises:
        BrokerRefused: it does not let us in.
    """

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def work(parcel_id: int, attempt: int) -> None:
        running.work(parcel_id, attempt)

    def keep_logs(**_: object) -> None:
        """Connected, it keeps Celery from setting up logs of its own; a bell is no news."""
        logging.getLogger("celery").setLevel(logging.WARNING)

    def ready(**_: object) -> None:
        # At a lost connection it tells of a default that will change; here it is set.  Not
        # before: Celery turns these warnings on when it starts.
        warnings.simplefilter("ignore", CPendingDeprecationWarning)
        LOG.info("ready for work", worker=name, providers=list(providers))

    def stop(**_: object) -> None:
        running.stop()

    signals.setup_logging.connect(keep_logs)
    signals.worker_ready.connect(ready)
    signals.worker_shutting_down.connect(stop)
    lost = lost_connection(app)
    for teller in TELLERS:
        logging.getLogger(teller).addFilter(lost)
    # It warns root of pickled messages; only JSON is taken here.
    warnings.simplefilter("ignore", SecurityWarning)
    worker = Worker(
        app=app,
        hostname=name,
        # Threads: each only waits for the event loop, which does the work.
        pool="threads",
        concurrency=ANSWERS,
        consumer_cls=_Consumer,
        queues=[queue_of(provider) for provider in providers],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    if refusal := worker.consumer.refusal:
        raise BrokerRefused(where=app.connection_for_read().as_uri(), reason=refusal)
    return int(worker.exitcode or 0)
