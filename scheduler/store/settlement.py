"""Jobs in Postgres after their calls: what each call did to its job, and the results."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from scheduler.domain.errors import Broken
from scheduler.domain.job import JobState
from scheduler.store.bulk import copy_rows, numbers, texts


class PurseDiffers(Broken):
    """Jobs in this worker's hands do not have the money there that it counted."""

    def __init__(self, *, expected: int, found: int) -> None:
        super().__init__(
            f"{expected - found} of {expected} jobs were changed under a lease that stands;"
            " nothing was settled: keep the logs, and run `apportion audit verify`"
        )
        self.expected = expected
        self.found = found


class JobMove(NamedTuple):
    """What one or more calls did to a job that this worker has under its lease.

    Attributes:
        state: `planned` where work on it goes on; `queued` where it is given back.
        free_nusd: what was set aside and free before this; it must still be.
        used_nusd: how much of its reservation is gone: spent or given back.
        held_nusd: how much more is now kept for calls whose outcome is unknown.
        spent_nusd: how much was billed.
        reason: why it was given back.
        wait_s: how long it then waits, before it is planned again, the first time; twice as
            long each time after, but not beyond its deadline: its failure is not to be late too.
    """

    job_id: int
    parcel_id: int
    state: JobState
    free_nusd: int
    used_nusd: int = 0
    held_nusd: int = 0
    spent_nusd: int = 0
    reason: str | None = None
    wait_s: float = 0.0


# The fence is the parcel's, locked before; the WHERE holds that nobody else moved the job.  Only
# the id finds it: by the index of planned jobs, which seems small where many were planned since
# Postgres last counted, it would read all of them for every flush.
_MOVE = text("""
    UPDATE job
    SET state = moved.state,
        parcel_id = CASE WHEN moved.state = 'planned' THEN job.parcel_id END,
        reserved_nusd = job.reserved_nusd - moved.used,
        held_nusd = job.held_nusd + moved.held,
        spent_nusd = job.spent_nusd + moved.spent,
        finished_at = CASE WHEN moved.state IN ('done', 'failed') THEN now() END,
        deferrals = least(job.deferrals::int + (moved.state = 'queued')::int, 32767),
        deferral_reason = CASE WHEN moved.state = 'queued' THEN moved.reason END,
        not_before = CASE WHEN moved.state = 'queued'
                     THEN least(
                         now() + make_interval(secs => least(
                             :wait_most_s, wait * power(2, least(job.deferrals, 30)))),
                         CASE WHEN job.deadline > now() THEN job.deadline END)
                     ELSE job.not_before END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:parcels AS bigint[]), CAST(:states AS text[]),
                CAST(:frees AS bigint[]), CAST(:used AS bigint[]), CAST(:held AS bigint[]),
                CAST(:spent AS bigint[]), CAST(:reasons AS text[]), CAST(:waits AS float8[]))
         AS moved (id, parcel_id, state, free, used, held, spent, reason, wait)
    WHERE job.id = moved.id
      AND coalesce(job.state = 'planned' AND job.parcel_id = moved.parcel_id
                   AND job.reserved_nusd - job.held_nusd = moved.free, false)
""")

_FILL = text("""
    UPDATE job SET reserved_nusd = reserved_nusd + filled.granted
    FROM unnest(CAST(:ids AS bigint[]), CAST(:granted AS bigint[])) AS filled (id, granted)
    WHERE job.id = filled.id AND coalesce(job.state = 'planned', false)
""")

_LOCK = text("""
    SELECT id FROM job WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
""")

_BILLS = text("""
    SELECT id, held_nusd, spent_nusd FROM job
    WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
""")


class Result(NamedTuple):
    """A job's result; the fields in the order of `RESULT_COLUMNS`.

    Attributes:
        output: JSON text.
        attempt_id: a UUID as text.
        cost_nusd: all that was billed for the job, waste and overrun included.
        digest: SHA-256 of *output*, or of the reason where there is none.
    """

    job_id: int
    tenant_id: int
    status: JobState
    output: str | None
    reason: str | None
    attempt_id: str | None
    offer_id: int | None
    reduction: str | None
    cost_nusd: int
    quality_ppm: int | None
    digest: bytes


RESULT_COLUMNS = (
    "job_id",
    "tenant_id",
    "status",
    "output",
    "reason",
    "attempt_id",
    "offer_id",
    "reduction",
    "cost_nusd",
    "quality_ppm",
    "digest",
)


def move_jobs(conn: Connection, moves: Sequence[JobMove], *, wait_most_s: float) -> None:
    """Apply *moves* (one per job) to jobs of parcels whose leases the transaction holds.

    No job waits longer than *wait_most_s*.

    Raises:
        PurseDiffers: somebody else changed one of them; roll back.
    """
    if not moves:
        return
    # Column by column: with a loop for each, they take as long as the statement itself.
    ids, parcels, states, frees, used, held, spent, reasons, waits = zip(*moves, strict=True)
    moved = conn.execute(
        _MOVE,
        {
            "ids": numbers(ids),
            "parcels": numbers(parcels),
            "states": texts(states),
            "frees": numbers(frees),
            "used": numbers(used),
            "held": numbers(held),
            "spent": numbers(spent),
            "reasons": texts(reasons),
            "waits": numbers(waits),
            "wait_most_s": wait_most_s,
        },
    )
    if moved.rowcount != len(moves):
        raise PurseDiffers(expected=len(moves), found=moved.rowcount)


def lock_jobs(conn: Connection, job_ids: Sequence[int]) -> None:
    """Lock jobs that may soon get more money: always before the budgets that give it."""
    if job_ids:
        conn.execute(_LOCK, {"ids": list(job_ids)})


def lock_bills(conn: Connection, job_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """What is held for jobs, and what was spent on them, in nUSD by id; the jobs are locked.

    Asked where calls of unknown outcome were, which others may have resolved meanwhile.
    """
    if not job_ids:
        return {}
    rows = conn.execute(_BILLS, {"ids": list(job_ids)})
    return {row.id: (row.held_nusd, row.spent_nusd) for row in rows}


def fill(conn: Connection, granted: dict[int, int]) -> None:
    """Add *granted* (nUSD by job) to what is set aside for jobs that are worked on."""
    if granted:
        filled = conn.execute(_FILL, {"ids": list(granted), "granted": list(granted.values())})
        if filled.rowcount != len(granted):
            raise PurseDiffers(expected=len(granted), found=filled.rowcount)


def write_results(conn: Connection, results: Iterable[Result]) -> None:
    """Write *results*; a job has one, so a second is refused by its key."""
    copy_rows(conn, "result", RESULT_COLUMNS, results)


def write_outbox(conn: Connection, *, topic: str, messages: Iterable[tuple[str, str]]) -> None:
    """Put *messages* (key, JSON text) where the relay takes them from."""
    copy_rows(
        conn, "outbox", ("topic", "key", "payload"), ((topic, key, text) for key, text in messages)
    )
