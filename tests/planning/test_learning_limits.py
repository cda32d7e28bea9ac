"""Learning takes no more than it may, and says what it left out."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from scheduler.domain.policy import BadPolicy, LearnPolicy, Policy
from scheduler.planning.learning import learn
from scheduler.planning.lessons import Lesson
from scheduler.store.outcomes import read_scores
from tests.planning.test_learning import answered


@pytest.fixture
def conn(conn: Connection) -> Connection:
    """Sixty answers with a score, each an hour after the one before."""
    answered(conn, 60, lambda number: float(number % 2))
    conn.execute(text("UPDATE result SET at = now() + job_id * interval '1 hour'"))
    return conn


def quality(conn: Connection, limits: LearnPolicy) -> Lesson:
    [lesson] = [one for one in learn(conn, policy=Policy(learn=limits)) if one.kind == "quality"]
    return lesson


def test_what_is_older_than_the_newest_outcomes_is_left_out_and_told(conn: Connection) -> None:
    lesson = quality(conn, LearnPolicy(outcomes_max=45))

    assert (lesson.observations, lesson.left_out) == (45, 15)
    [said] = conn.execute(
        text("SELECT body::jsonb FROM evidence WHERE body::jsonb->>'kind' = 'quality'")
    ).scalars()
    assert (said["observations"], said["left_out"]) == (45, 15)


def test_the_newest_outcomes_are_those_that_are_read(conn: Connection) -> None:
    ids = conn.execute(text("SELECT document_id FROM job ORDER BY id")).scalars().all()

    read = read_scores(conn, edit_score=0.5, limit=7)

    assert read.document.tolist() == ids[:-8:-1]
    assert read.older == 53


def test_documents_beyond_the_limit_are_not_drawn_and_told(conn: Connection) -> None:
    all_of_them = quality(conn, LearnPolicy())
    fewer = quality(conn, LearnPolicy(documents_max=20))

    assert (all_of_them.left_out, all_of_them.documents_left_out) == (0, 0)
    # Of those that were not held back.
    taught = 60 - fewer.figures["outcomes"]
    assert fewer.documents_left_out == taught - 20
    assert fewer.figures["digest"] != all_of_them.figures["digest"]


@pytest.mark.parametrize("figure", ["outcomes_max", "documents_max"])
def test_a_limit_of_nothing_is_refused(figure: str) -> None:
    with pytest.raises(BadPolicy, match=figure):
        replace(LearnPolicy(), **{figure: 0})
