"""How the service stands at this moment: the queue, the work, and what needs a person."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """Jobs of one state and window (`now` or `night`); of the planned, of one provider.

    The finished of a large table are not counted, which would read them all: they are one line
    of the state `finished`, of no window, and what the table's statistics say is *estimated*.
    """

    state: str
    run_when: str | None
    provider: str | None
    jobs: int
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What judges were asked today (UTC), and were paid for it."""

    jobs: int
    done: int
    spent_nusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralLine:
    """Jobs that wait again, for one reason."""

    reason: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelLine:
    """One provider's parcels of one state; *overdue*: their lease has run out."""

    provider: str
    state: str
    parcels: int
    jobs: int
    overdue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLine:
    """An offer that is left alone until *resting_until*; *is_asked* if it asked for that itself."""

    offer: str
    failures: int
    is_asked: bool
    resting_until: datetime
    last_error: str | None

    @property
    def why(self) -> str:
        return "it asked for a pause" if self.is_asked else f"{self.failures} failures in a row"


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLine:
    """The offset that is read next of one Kafka partition."""

    topic: str
    partition: int
    next_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What has piled up, if anything.

    Attributes:
        oldest_wait_s: how long the oldest job waits that could be planned now.
        calls_open: attempts begun and not yet reported.
        calls_unknown: attempts whose outcome is not known; *unknown_nusd* is kept for them.
        outbox: rows not yet sent; *outbox_wait_s* is how long the oldest waits.
        dead_letters: messages that were turned away; the last of them at *dead_letter_at*.
    """

    oldest_wait_s: float | None
    calls_open: int
    calls_unknown: int
    unknown_nusd: int
    outbox: int
    outbox_wait_s: float | None
    dead_letters: int
    dead_letter_at: datetime | None


COUNTED_MOST = 200_000
"""So many jobs are counted, in some tens of milliseconds; of more, the finished are estimated."""

# Each is one pass over a partial index.
_OPEN = text("""
    SELECT 'queued' AS state, run_when, NULL AS provider, count(*) AS jobs
    FROM job WHERE state = 'queued' GROUP BY run_when
  UNION ALL
    SELECT 'planned', job.run_when, provider.name, count(*)
    FROM job
    JOIN parcel ON parcel.id = job.parcel_id
    JOIN provider ON provider.id = parcel.provider_id
    WHERE job.state = 'planned' GROUP BY job.run_when, provider.name
    ORDER BY state DESC, run_when, provider
""")

_FINISHED = text("""
    SELECT state, run_when, NULL AS provider, count(*) AS jobs
    FROM job WHERE state IN ('done', 'failed') GROUP BY state, run_when ORDER BY state, run_when
""")

# Both lag behind, and either may not be there: the first after a crash, the second before the
# first ANALYZE.
_JOBS_ESTIMATED = text("""
    SELECT greatest(pg_stat_get_live_tuples(oid), reltuples::bigint)
    FROM pg_class WHERE oid = to_regclass('job')
""")

_JUDGING = text("""
    SELECT count(*) AS jobs, count(*) FILTER (WHERE state = 'done') AS done,
           coalesce(sum(spent_nusd), 0)::bigint AS spent_nusd
    FROM job WHERE task = 'judge' AND received_at >= date_trunc('day', now(), 'UTC')
""")

_DEFERRALS = text("""
    SELECT deferral_reason AS reason, count(*) AS jobs
    FROM job WHERE state = 'queued' AND deferral_reason IS NOT NULL
    GROUP BY deferral_reason ORDER BY jobs DESC, reason
""")

# Finished parcels are history; the others are few, and each state has a partial index.
_PARCELS = text("""
    SELECT provider.name AS provider, parcel.state, count(*) AS parcels, sum(parcel.jobs) AS jobs,
           count(*) FILTER (WHERE lease_expires_at < now()) AS overdue
    FROM parcel JOIN provider ON provider.id = parcel.provider_id
    WHERE parcel.state IN ('ready', 'running', 'dead')
    GROUP BY provider.name, parcel.state ORDER BY provider.name, parcel.state
""")

_BREAKERS = text("""
    SELECT offer.name AS offer, failures, is_asked, resting_until, last_error
    FROM breaker JOIN offer ON offer.id = breaker.offer_id
    WHERE resting_until > now() ORDER BY offer.name
""")

_POSITIONS = text("SELECT topic, partition, next_offset FROM position ORDER BY topic, partition")

_BACKLOG = text("""
    SELECT
        (SELECT extract(epoch FROM now() - min(received_at))::float8 FROM job
         WHERE state = 'queued' AND run_when = 'now' AND not_before <= now()) AS oldest_wait_s,
        (SELECT count(*) FROM attempt WHERE state = 'started') AS calls_open,
        unknown.calls AS calls_unknown, unknown.nusd AS unknown_nusd,
        waiting.rows AS outbox, waiting.wait_s AS outbox_wait_s,
        dead.letters AS dead_letters, dead.at AS dead_letter_at
    FROM (SELECT count(*) AS calls, coalesce(sum(reserved_nusd), 0)::bigint AS nusd
          FROM attempt WHERE state = 'unknown') AS unknown,
         (SELECT count(*) AS rows, extract(epoch FROM now() - min(at))::float8 AS wait_s
          FROM outbox) AS waiting,
         (SELECT count(*) AS letters, max(at) AS at FROM dead_letter) AS dead
""")


def queue(conn: Connection, *, counted_most: int = COUNTED_MOST) -> list[QueueLine]:
    """Jobs by state, window and provider; the finished estimated, of more than *counted_most*."""
    lines = [QueueLine(**row._asdict()) for row in conn.execute(_OPEN)]
    jobs = conn.execute(_JOBS_ESTIMATED).scalar_one()
    if jobs <= counted_most:
        return lines + [QueueLine(**row._asdict()) for row in conn.execute(_FINISHED)]
    finished = max(jobs - sum(line.jobs for line in lines), 0)
    guess = QueueLine(state="finished", run_when=None, provider=None, jobs=finished, estimated=True)
    return [*lines, guess]


def judging(conn: Connection) -> Judging:
    """Today's judgings."""
    return Judging(**conn.execute(_JUDGING).one()._asdict())


def deferrals(conn: Connection) -> list[DeferralLine]:
    """Why deferred jobs wait, the commonest reason first."""
    return [DeferralLine(**row._asdict()) for row in conn.execute(_DEFERRALS)]


def parcels(conn: Connection) -> list[ParcelLine]:
    """The parcels that wait, are worked on, or were given up."""
    return [ParcelLine(**row._asdict()) for row in conn.execute(_PARCELS)]


def resting(conn: Connection) -> list[BreakerLine]:
    """The offers that are left alone now."""
    return [BreakerLine(**row._asdict()) for row in conn.execute(_BREAKERS)]


def positions(conn: Connection) -> list[PositionLine]:
    """How far each Kafka partition was taken in."""
    return [PositionLine(**row._asdict()) for row in conn.execute(_POSITIONS)]


def backlog(conn: Connection) -> Backlog:
    """What has piled up."""
    return Backlog(**conn.execute(_BACKLOG).one()._asdict())
