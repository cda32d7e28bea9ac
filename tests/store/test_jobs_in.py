"""Jobs in bulk: each id once, from two processes at once, and on nothing that is not there."""

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.store.documents import Document, Key, add_documents
from scheduler.store.jobs_in import IncomingJob, add_jobs
from scheduler.store.scopes import Scope
from scheduler.store.tables.jobs import job

DIGEST = b"document".ljust(32)
PROJECT = Scope(id=3, kind="project", tenant_id=1, path="default/default/default", ids=(1, 2, 3))


def incoming(key: str, *, at: int = 0, asked: str = "asked") -> IncomingJob:
    return IncomingJob(
        at=at,
        scope=PROJECT.path,
        key=key,
        digest=asked.encode().ljust(32),
        document=DIGEST,
        task="answer",
        params='{"question": "é?"}',
        tags="{}",
        priority=5,
        deadline=datetime(2030, 1, 1, tzinfo=UTC),
        min_quality_ppm=0,
        max_cost_nusd=None,
        residency=("eu", "ch"),
        data_class="internal",
        run_when="now",
    )


def add(
    conn: Connection, *jobs: IncomingJob, document_id: int | None = None
) -> tuple[int, list[int]]:
    key: Key = (PROJECT.tenant_id, DIGEST)
    body = Document(DIGEST, 1, 1, "a", None, "public", b"", b"")
    ids = {key: document_id} if document_id else add_documents(conn, {key: body})
    return add_jobs(conn, jobs, projects={PROJECT.path: PROJECT}, documents=ids, source="test")


def test_a_job_is_in_its_table_as_it_came(shared_conn: Connection) -> None:
    assert add(shared_conn, incoming("a")) == (1, [])

    row = shared_conn.execute(select(job)).one()
    assert (row.params, row.tags, row.residency) == ({"question": "é?"}, {}, ["eu", "ch"])
    assert (row.deadline, row.source, row.state) == (incoming("a").deadline, "test", "queued")
    assert row.received_at == row.not_before


def test_known_jobs_are_left_and_other_content_is_told(shared_conn: Connection) -> None:
    add(shared_conn, incoming("a"), incoming('"b\\'))

    again = [incoming("c", at=0), incoming('"b\\', at=1), incoming("a", at=2, asked="otherwise")]
    assert add(shared_conn, *again) == (1, [2])


def test_a_job_that_another_process_adds_at_the_same_time_is_known(engine: Engine) -> None:
    found: list[tuple[int, list[int]]] = []

    def add_others() -> None:
        with engine.begin() as conn:
            others = [incoming("b"), incoming("a", at=1, asked="otherwise"), incoming("c")]
            found.append(add(conn, *others))

    with engine.begin() as conn:
        add(conn)
    with engine.begin() as conn:
        add(conn, incoming("a"), incoming("b"))
        other = threading.Thread(target=add_others)
        other.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while conn.execute(waits).scalar_one() == 0 and other.is_alive():
            pass
    other.join(60)

    assert found == [(1, [1])]
    with engine.connect() as conn:
        assert conn.execute(select(func.count()).select_from(job)).scalar_one() == 3


def test_no_job_is_on_a_document_that_is_not_there(shared_conn: Connection) -> None:
    with pytest.raises(IntegrityError, match="document is not there"):
        add(shared_conn, incoming("a"), document_id=10**9)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM document",
        "TRUNCATE document CASCADE",
        "UPDATE document SET id = DEFAULT",
        "DELETE FROM scope",
        "UPDATE scope SET tenant_id = 1",
        "UPDATE job SET document_id = 1",
        "UPDATE job SET project_id = 1",
    ],
)
def test_what_a_job_refers_to_stays(shared_conn: Connection, change: str) -> None:
    add(shared_conn, incoming("a"))

    with pytest.raises(DBAPIError, match="keep what they refer to"):
        shared_conn.execute(text(change))
