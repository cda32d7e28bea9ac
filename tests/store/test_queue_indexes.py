"""The queue's questions stay cheap among many finished rows: none reads a whole table."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from scheduler.domain.job import JobState, When
from scheduler.domain.work import AttemptState
from scheduler.store.attempts import Ended, end, start
from scheduler.store.bells import due_bells, mark_rung
from scheduler.store.connect import open_engine
from scheduler.store.parcels_made import undone_work
from scheduler.store.settlement import JobMove, fill, move_jobs
from scheduler.store.waking import bring_forward, latest_change, wake
from scheduler.store.windows import due_jobs, read_window
from tests.planning.queued import CHEAP, NOON, add_budget, add_offers, fill_queue
from tests.rig import postgres as postgres_rig

ROWS = 50_000
FEW = 500

# Finished work, and a little that is not: as after some weeks of service.
OLD_WORK = """
    UPDATE job SET state = 'failed', finished_at = now() WHERE id > :few;
    UPDATE job SET run_when = 'night' WHERE id % 2 = 0;
    UPDATE job SET not_before = now() + interval '1 day' WHERE state = 'queued' AND id % 5 = 0;
    INSERT INTO plan (window_kind, jobs, planned, deferred, value, bound, gap, passes, solve_s,
                      seed, cost_nusd, reserved_nusd, rows, inputs, decisions_digest)
        VALUES ('continuous', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '[]', '{}', '');
    UPDATE job SET plan_id = 1;
    INSERT INTO parcel (plan_id, offer_id, provider_id, jobs, state, attempt_limit, due_at)
        SELECT 1, 1, 1, 1, CASE WHEN n <= :few THEN 'ready' ELSE 'done' END, 5, now()
        FROM generate_series(1, :rows) AS n;
    INSERT INTO attempt (id, started_at, job_id, parcel_id, fence, ordinal, offer_id, price_id,
                         reduction, prompt, state, reserved_nusd, booked_on, cost_nusd, finished_at)
        SELECT gen_random_uuid(), now(), n, n, 1, 1, 1, 1, 'none', 'v1', 'succeeded', 5, now(), 5,
               now()
        FROM generate_series(1, :rows) AS n;
"""

JUST_PLANNED = """
    UPDATE job SET state = 'planned', parcel_id = 1, booked_on = now(), finished_at = NULL
    WHERE id > :few
"""


@pytest.fixture(scope="module")
def old_engine(postgres: postgres_rig.Server, template: str) -> Iterator[Engine]:
    """A database that has been at work for long."""
    with postgres_rig.database(postgres, like=template) as name:
        engine = create_engine(postgres.database(name), poolclass=NullPool)
        with engine.begin() as conn:
            add_offers(conn, CHEAP)
            add_budget(conn, 100)
            fill_queue(conn, ROWS)
            for statement in OLD_WORK.split(";")[:-1]:
                conn.execute(text(statement), {"few": FEW, "rows": ROWS})
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text("VACUUM ANALYZE job, parcel, attempt, plan, document, offer"))
        yield engine
        engine.dispose()


@pytest.fixture
def service_engine(old_engine: Engine) -> Iterator[Engine]:
    """The same database as the service asks it."""
    engine = open_engine(old_engine.url.render_as_string(hide_password=False))
    yield engine
    engine.dispose()


QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "how many are due": lambda conn: due_jobs(conn, when=When.NOW, before=NOON, limit=20_000),
    "the window": lambda conn: read_window(conn, before={When.NOW: NOON}, limit=20_000),
    "all that is queued": lambda conn: read_window(
        conn, before={When.NOW: NOON, When.NIGHT: NOON}, limit=20_000
    ),
    "what offers have to do": lambda conn: undone_work(conn, before=NOON),
    "which bells are due": lambda conn: due_bells(conn, bells_max=100),
    "bells that were rung": lambda conn: mark_rung(
        conn, due_bells(conn, bells_max=10), again=timedelta(seconds=30)
    ),
    "what has changed": lambda conn: latest_change(conn, now=NOON),
    "who need not wait": lambda conn: wake(conn, now=NOON),
    "who cannot wait for the night": lambda conn: bring_forward(conn, night=NOON),
}


@pytest.mark.parametrize("question", list(QUESTIONS))
def test_it_is_answered_without_reading_all_jobs_or_parcels(
    old_engine: Engine, service_engine: Engine, question: str
) -> None:
    before = rows_read(old_engine)
    with service_engine.connect() as conn:
        QUESTIONS[question](conn)
        conn.execute(text("SELECT pg_stat_force_next_flush()"))
        conn.rollback()

    after = rows_read(old_engine)
    assert after["job"] - before["job"] < 10 * FEW
    assert after["parcel"] - before["parcel"] < 10 * FEW


@pytest.mark.parametrize("count", [100, 2_048])
def test_a_flush_reads_only_its_own_jobs_among_many_that_were_just_planned(
    service_engine: Engine, count: int
) -> None:
    ids = range(FEW + 1, FEW + 1 + count)
    with service_engine.connect() as conn:
        conn.execute(text(JUST_PLANNED), {"few": FEW})
        before = jobs_read(conn)
        fill(conn, dict.fromkeys(ids, 5))
        move_jobs(
            conn,
            [
                JobMove(job_id=n, parcel_id=1, state=JobState.DONE, free_nusd=5, used_nusd=5)
                for n in ids
            ],
            wait_most_s=60,
        )
        after = jobs_read(conn)
        conn.rollback()

    assert after - before <= 5 * len(ids)


def test_calls_are_ended_by_their_ids_however_many_were_begun_since_the_last_vacuum(
    service_engine: Engine,
) -> None:
    ids = [str(uuid4()) for _ in range(100)]
    with service_engine.connect() as conn:
        at = conn.execute(text("SELECT now()")).scalar_one()
        rest = (1, 1, 1, 1, 1, 1, "none", "v1", 5, at.date())
        start(conn, [(one, at, *rest) for one in ids])
        before = open_attempts_read(conn)
        ended = end(
            conn,
            [
                Ended(id=one, started_at=at, state=AttemptState.SUCCEEDED, cost_nusd=5)
                for one in ids
            ],
        )
        after = open_attempts_read(conn)
        conn.rollback()

    assert ended == len(ids)
    assert after == before


def open_attempts_read(conn: Connection) -> int:
    """How many entries of the open calls' index this transaction has looked at."""
    return conn.execute(
        text("""
            SELECT sum(pg_stat_get_xact_tuples_returned(inhrelid)) FROM pg_inherits
            WHERE inhparent = 'ix_attempt_open'::regclass
        """)
    ).scalar_one()


def jobs_read(conn: Connection) -> int:
    """How many rows of jobs this transaction has looked at."""
    return conn.execute(
        text("""
            SELECT seq_tup_read + coalesce(idx_tup_fetch, 0)
            FROM pg_stat_xact_user_tables WHERE relname = 'job'
        """)
    ).scalar_one()


def rows_read(engine: Engine) -> dict[str, int]:
    """By table, how many rows were looked at so far: by sequence, or through an index."""
    with engine.connect() as conn:
        found = conn.execute(
            text("""
                SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
                FROM pg_stat_user_tables WHERE relname IN ('job', 'parcel')
            """)
        )
        return {row.relname: row.rows for row in found}
