"""What a plan does to its jobs: given to parcels, put off, or ended with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, TextClause, text

from scheduler.domain.errors import Overtaken


class JobsMoved(Overtaken):
    """Jobs changed between being read and being planned."""

    def __init__(self, *, read: int, left: int) -> None:
        super().__init__(f"{read - left} of {read} jobs changed while they were being planned")
        self.read = read
        self.left = left


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Jobs that go to parcels, in columns of one length.

    Attributes:
        versions: as the window read them.
    """

    job_ids: Sequence[int]
    versions: Sequence[int]
    parcel_ids: Sequence[int]
    reserved_nusd: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff:
    """Jobs that wait for a later window, in columns of one length.

    Attributes:
        by_day: whether it is planned with the day's jobs from now on.
    """

    job_ids: Sequence[int]
    versions: Sequence[int]
    reasons: Sequence[str]
    not_before: Sequence[datetime]
    by_day: Sequence[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Jobs that fail without an answer, in columns of one length."""

    job_ids: Sequence[int]
    versions: Sequence[int]


# A row's xmin says which transaction wrote it: any change since the window was read shows.
_PLAN = text("""
    UPDATE job
    SET state = 'planned', plan_id = :plan_id, parcel_id = made.parcel_id, booked_on = :booked_on,
        reserved_nusd = job.reserved_nusd + made.reserved_nusd, deferral_reason = NULL
    FROM unnest(CAST(:job_ids AS bigint[]), CAST(:versions AS bigint[]),
                CAST(:parcel_ids AS bigint[]), CAST(:reserved_nusd AS bigint[]))
         AS made (job_id, version, parcel_id, reserved_nusd)
    WHERE job.id = made.job_id AND job.state = 'queued' AND job.xmin::text::bigint = made.version
""")

_PUT_OFF = text("""
    UPDATE job
    SET plan_id = :plan_id, deferrals = least(deferrals::int + 1, 32767),
        deferral_reason = made.reason, not_before = made.not_before,
        run_when = CASE WHEN made.by_day THEN 'now' ELSE run_when END
    FROM unnest(CAST(:job_ids AS bigint[]), CAST(:versions AS bigint[]), CAST(:reasons AS text[]),
                CAST(:not_before AS timestamptz[]), CAST(:by_day AS boolean[]))
         AS made (job_id, version, reason, not_before, by_day)
    WHERE job.id = made.job_id AND job.state = 'queued' AND job.xmin::text::bigint = made.version
""")

_END = text("""
    UPDATE job SET plan_id = :plan_id, state = 'failed', finished_at = now()
    FROM unnest(CAST(:job_ids AS bigint[]), CAST(:versions AS bigint[])) AS made (job_id, version)
    WHERE job.id = made.job_id AND job.state = 'queued' AND job.xmin::text::bigint = made.version
""")


def give_to_parcels(conn: Connection, planned: Planned, *, plan_id: int, booked_on: date) -> None:
    """Make *planned* wait for their worker, with their money set aside on *booked_on*.

    Raises:
        JobsMoved: some are no longer as they were read; roll back, and plan again.
    """
    columns = {
        "job_ids": planned.job_ids,
        "versions": planned.versions,
        "parcel_ids": planned.parcel_ids,
        "reserved_nusd": planned.reserved_nusd,
    }
    _move(conn, _PLAN, columns, plan_id=plan_id, booked_on=booked_on)


def put_off(conn: Connection, jobs: PutOff, *, plan_id: int) -> None:
    """Make *jobs* wait for a later window; raises as `give_to_parcels`."""
    columns = {
        "job_ids": jobs.job_ids,
        "versions": jobs.versions,
        "reasons": jobs.reasons,
        "not_before": jobs.not_before,
        "by_day": jobs.by_day,
    }
    _move(conn, _PUT_OFF, columns, plan_id=plan_id)


def end(conn: Connection, jobs: Ended, *, plan_id: int) -> None:
    """Make *jobs* failed; their results are the caller's to write.  Raises as the others."""
    columns = {"job_ids": jobs.job_ids, "versions": jobs.versions}
    _move(conn, _END, columns, plan_id=plan_id)


def _move(
    conn: Connection,
    statement: TextClause,
    columns: Mapping[str, Sequence[object]],
    **values: object,
) -> None:
    count = len(columns["job_ids"])
    if not count:
        return
    moved = conn.execute(statement, {name: list(given) for name, given in columns.items()} | values)
    if moved.rowcount != count:
        raise JobsMoved(read=count, left=moved.rowcount)
