"""What plans are learned from is on record: feedback that was altered or put in shows."""

import json
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from scheduler.compliance.verification import verify
from scheduler.store.evidence import records
from scheduler.store.feedback_in import IncomingFeedback, add_feedback
from scheduler.store.feedback_records import STREAM, prove_feedback
from scheduler.store.judging import Judgement, add_judgements
from scheduler.store.migrate import upgrade
from scheduler.store.references import keep_scores
from tests.compliance.tampering import found, tamper
from tests.store.test_migrations import to

CAME = [
    IncomingFeedback(0, "default", "a", "score", 250_000, 1.1),
    IncomingFeedback(1, "default", "b", "use", None, None),
    IncomingFeedback(2, "default", "nobody", "use", None, None),
    IncomingFeedback(3, "default", "a", "reference", None, None, '{"b": [0.1, 1e30], "a": "süß"}'),
]


@pytest.fixture
def told(day: Connection) -> Connection:
    """Three rows of people's, and the fourth of a judge's."""
    assert add_feedback(day, CAME, source="documents.feedback") == [2]
    judged = add_judgements(day, [Judgement(job_id=1, score_ppm=900_000, offer_id=1)])
    prove_feedback(day, judged, stream="work-1")
    return day


def ids(conn: Connection) -> list[int]:
    return list(conn.execute(text("SELECT id FROM feedback ORDER BY id")).scalars())


def bodies(conn: Connection, stream: str) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one, _ in records(conn, stream=stream)]


def test_feedback_as_it_came_has_no_faults(told: Connection) -> None:
    assert verify(told).findings == ()

    [body] = bodies(told, STREAM)
    assert [one["feedback"] for one in body["came"]] == ids(told)[:3]
    assert [one["score_ppm"] for one in body["came"]] == [250_000, None, None]
    assert {one["source"] for one in body["came"]} == {"documents.feedback"}
    judges = bodies(told, "work-1")[-1]
    assert [(one["score_ppm"], one["judge"]) for one in judges["came"]] == [(900_000, 1)]


def test_what_was_said_of_no_job_of_ours_leaves_no_record(day: Connection) -> None:
    assert add_feedback(day, [CAME[2]], source="x") == [2]

    assert bodies(day, STREAM) == []


def test_a_references_score_is_not_what_came_in(told: Connection) -> None:
    keep_scores(told, [(ids(told)[2], 700_000)], scorer="scorer-1")

    assert verify(told).findings == ()


@pytest.mark.parametrize(
    ("to", "of", "what"),
    [
        ("score_ppm = 260000", 0, "score_ppm"),
        ("seconds = 1.2", 0, "seconds"),
        ("seconds = NULL", 0, "seconds"),
        ("job_id = 2", 0, "job"),
        ("kind = 'ignore'", 1, "kind"),
        ("at = at + interval '1 day'", 1, "at_us"),
        ("source = 'x'", 1, "source"),
        ("judge_offer_id = 1", 0, "judge"),
        ("reference = '{}'", 2, "reference"),
        ("score_ppm = 1, judge_offer_id = NULL", 3, "judge, score_ppm"),
    ],
)
def test_feedback_that_was_altered_is_named_with_what_was(
    told: Connection, to: str, of: int, what: str
) -> None:
    altered = ids(told)[of]
    tamper(told, f"UPDATE feedback SET {to} WHERE id = {altered}")

    assert found(told) == [f"feedback {altered}: is not what was recorded of it: {what}"]


def test_feedback_that_was_put_in_or_taken_away_is_found(told: Connection) -> None:
    first = ids(told)[0]
    tamper(told, f"DELETE FROM feedback WHERE id = {first}")
    tamper(told, "INSERT INTO feedback (job_id, kind, source) VALUES (1, 'use', 'x')")

    assert found(told) == [
        f"feedback {first}: is recorded, and its row is gone",
        f"feedback {ids(told)[-1]}: was put in: no record tells of it",
    ]


@pytest.fixture
def of_before(database_url: str) -> str:
    """A database whose feedback came in before there were records of it."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as conn:
        to(conn, "0021")
    with engine.begin() as conn:
        conn.execute(
            text("""
                INSERT INTO document (tenant_id, bytes, words, digest, body, features, token_stats)
                VALUES (1, 1, 1, sha256('x'), 'x', '', '');
            """)
        )
        conn.execute(
            text("""
                INSERT INTO job (tenant_id, project_id, key, digest, document_id, task, data_class,
                                 source)
                VALUES (1, 3, 'a', '', 1, 'summarize', 'internal', 'test')
            """)
        )
        conn.execute(
            text("""
                INSERT INTO feedback (job_id, kind, score_ppm, source)
                SELECT 1, 'score', n, 'x' FROM generate_series(1, 5001) AS n
            """)
        )
    engine.dispose()
    return database_url


def test_feedback_of_before_is_recorded_as_it_is_found(of_before: str) -> None:
    upgrade(of_before)

    engine = create_engine(of_before, poolclass=NullPool)
    with engine.connect() as conn:
        assert verify(conn).findings == ()
        said = bodies(conn, STREAM)
        assert [(len(one["came"]), one["found"]) for one in said] == [(5_000, True), (1, True)]
        tamper(conn, "UPDATE feedback SET score_ppm = 9 WHERE id = 5001")
        assert found(conn) == ["feedback 5001: is not what was recorded of it: score_ppm"]


def test_who_goes_down_and_up_again_has_it_found_anew(of_before: str) -> None:
    upgrade(of_before)
    engine = create_engine(of_before, poolclass=NullPool)
    with engine.connect() as conn:
        to(conn, "0021")
        conn.execute(text("UPDATE feedback SET score_ppm = 9 WHERE id = 5001"))
        conn.commit()

    upgrade(of_before)

    with engine.connect() as conn:
        assert verify(conn).findings == ()
