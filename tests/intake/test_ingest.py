"""Chunks in Postgres: each job once, each document once, and refusals that stop nothing."""

import json
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from scheduler.domain.policy import IntakePolicy
from scheduler.intake.chunk import Chunk
from scheduler.intake.ingest import OTHER_CONTENT, ScopeBook, Stored
from scheduler.intake.submission import submission_reader, submit_messages
from scheduler.store.scopes import ensure_scope
from scheduler.store.tables.jobs import document, job
from tests.intake.conftest import job_message

READER = submission_reader(IntakePolicy())


def submit(conn: Connection, *messages: bytes, scopes: ScopeBook | None = None) -> Stored:
    return submit_messages(conn, messages, reader=READER, scopes=scopes)


def count(conn: Connection, table: str) -> int:
    return conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def test_a_job_has_all_that_its_message_said(conn: Connection) -> None:
    ensure_scope(conn, "acme/legal/contracts")
    said: dict[str, Any] = {
        "scope": "acme/legal/contracts",
        "priority": 7,
        "deadline": "2030-01-01T00:00:00Z",
        "min_quality": 0.85,
        "max_cost_usd": "0.0000000011",
        "gain_usd": "0.123456789",
        "loss_usd": 0,
        "residency": ["eu", "de"],
        "data_class": "confidential",
        "when": "night",
        "tags": {"case": "7"},
        "words": 80,
    }

    stored = submit(conn, job_message("a", **said))

    row = conn.execute(select(job)).one()
    assert (stored.added, stored.known, stored.refused) == (1, 0, [])
    assert (row.key, row.task, row.params, row.tags) == (
        "a",
        "summarize",
        {"words": 80},
        {"case": "7"},
    )
    assert (row.priority, row.min_quality_ppm, row.max_cost_nusd) == (7, 850_000, 2)
    assert (row.gain_nusd, row.loss_nusd) == (123_456_789, 0)
    assert (row.residency, row.data_class, row.run_when) == (["eu", "de"], "confidential", "night")
    assert (row.deadline.isoformat(), row.source) == ("2030-01-01T00:00:00+00:00", "submit")


def test_the_same_job_again_changes_nothing(conn: Connection) -> None:
    submit(conn, job_message("a"), job_message("b"))
    before = conn.execute(select(job).order_by(job.c.id)).all()

    stored = submit(conn, job_message("b"), job_message("a"), job_message("a"))

    assert (stored.added, stored.known, stored.refused) == (0, 3, [])
    assert conn.execute(select(job).order_by(job.c.id)).all() == before


def test_the_same_id_with_other_content_is_refused_within_a_chunk_and_later(
    conn: Connection,
) -> None:
    first = submit(conn, job_message("a"), job_message("a", text="other"), job_message("b"))
    later = submit(conn, job_message("c"), job_message("a", priority=9))

    assert [(one.at, one.reason, one.job_id) for one in first.refused] == [(1, OTHER_CONTENT, "a")]
    assert [(one.at, one.reason, one.job_id) for one in later.refused] == [(1, OTHER_CONTENT, "a")]
    assert (first.added, later.added) == (2, 1)


def test_two_organisations_may_use_the_same_id(conn: Connection) -> None:
    for path in ("acme/a/a", "umbrella/b/b"):
        ensure_scope(conn, path)

    stored = submit(
        conn,
        job_message("a", scope="acme/a/a", text="same"),
        job_message("a", scope="umbrella/b/b", text="same"),
    )

    assert stored.added == 2
    assert count(conn, "document") == 2


def test_an_unknown_scope_is_refused_with_how_to_make_it(conn: Connection) -> None:
    stored = submit(conn, job_message("a", scope="acme/x/y"), job_message("b", scope="default"))

    assert "apportion budget set acme/x/y --limit" in stored.refused[0].reason
    assert "organisation/team/project" in stored.refused[1].reason
    assert stored.added == 0


def test_a_scope_made_later_is_found(conn: Connection) -> None:
    scopes = ScopeBook()
    submit(conn, job_message("a", scope="acme/x/y"), scopes=scopes)
    ensure_scope(conn, "acme/x/y")

    assert submit(conn, job_message("a", scope="acme/x/y"), scopes=scopes).added == 1


def test_a_text_is_kept_once_for_many_jobs(conn: Connection) -> None:
    submit(conn, job_message("a", text="same"), job_message("b", text="same"))
    submit(conn, job_message("c", text="same"))

    assert (count(conn, "job"), count(conn, "document")) == (3, 1)


def test_a_file_that_moved_is_read_from_where_it_is_now(conn: Connection, tmp_path: Any) -> None:
    reader = submission_reader(IntakePolicy(), [tmp_path.resolve()])
    for name in ("old.txt", "new.txt"):
        (tmp_path / name).write_text("The text.")
        message = job_message(name, text=None, path=name)
        submit_messages(conn, [message], reader=reader)
        assert conn.execute(select(document.c.path)).scalar_one().endswith(name)

    submit(conn, job_message("inline", text="The text."))
    assert conn.execute(select(document.c.path, document.c.body)).one() == (None, "The text.")

    submit_messages(conn, [job_message("z", text=None, path="old.txt")], reader=reader)
    assert conn.execute(select(document.c.body)).scalar_one() == "The text."


def test_what_postgres_finds_fault_with_is_refused_and_the_rest_is_stored(conn: Connection) -> None:
    # A rule of the database that the messages' shapes do not know.
    conn.execute(text("ALTER TABLE job ADD CHECK (key <> 'job-5')"))

    stored = submit(conn, *(job_message(f"job-{n}") for n in range(9)))

    assert stored.added == 8
    [refused] = stored.refused
    assert (refused.at, refused.job_id) == (5, "job-5")
    assert "The text of" not in refused.reason


def test_jobs_keep_the_order_they_came_in(conn: Connection) -> None:
    keys = [f"job-{(n * 7) % 50}" for n in range(50)]

    submit(conn, *map(job_message, keys))

    assert list(conn.execute(select(job.c.key).order_by(job.c.id)).scalars()) == keys


def test_an_empty_chunk_is_nothing(conn: Connection) -> None:
    assert submit(conn) == Stored(added=0, known=0, refused=[])
    assert READER.read([]) == Chunk()


@pytest.mark.parametrize("key", ["é" * 100, "'; DROP TABLE job; --", "\\N", "a\\tb", '{"x"}', "🙂"])
def test_any_id_comes_back_as_it_was(conn: Connection, key: str) -> None:
    submit(conn, json.dumps({"job_id": key, "task": "summarize", "text": key}).encode())

    both = select(job.c.key, document.c.body).where(document.c.id == job.c.document_id)
    assert conn.execute(both).one() == (key, key)
