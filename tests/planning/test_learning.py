"""What is learned from feedback, and when it is put in use."""

from collections.abc import Callable

import numpy as np
from sqlalchemy import Connection, text

from scheduler.domain.job import Task
from scheduler.domain.policy import PlanPolicy
from scheduler.planning.learning import Lesson, learn
from scheduler.store.estimators import active_estimators
from tests.planning.queued import CHEAP, Wish, add_jobs, add_offers

SUBJECTS = ("the harbour and its ships", "a court and its judges")


def answered(conn: Connection, count: int, score: Callable[[int], float | None]) -> None:
    """Jobs that `CHEAP` answered, about two subjects in turn, each with feedback or none."""
    offer_id = add_offers(conn, CHEAP)[CHEAP.offer.name]
    wishes = [
        Wish(text=f"Report {number} is about {SUBJECTS[number % 2]}. " * (3 + number % 7))
        for number in range(count)
    ]
    for number, job_id in enumerate(add_jobs(conn, *wishes)):
        conn.execute(
            text("UPDATE job SET state = 'done', finished_at = now() WHERE id = :id"),
            {"id": job_id},
        )
        conn.execute(
            text("""
                INSERT INTO result (job_id, tenant_id, status, output, attempt_id, offer_id,
                                    reduction, cost_nusd, digest)
                SELECT id, tenant_id, 'done', '"x"', gen_random_uuid(), :offer, 'none', 1, '\\x00'
                FROM job WHERE id = :id
            """),
            {"id": job_id, "offer": offer_id},
        )
        if (said := score(number)) is not None:
            conn.execute(
                text("INSERT INTO feedback (job_id, kind, score_ppm, source)"
                     " VALUES (:id, 'score', :ppm, 'test')"),
                {"id": job_id, "ppm": round(said * 1e6)},
            )  # fmt: skip


def quality(conn: Connection) -> Lesson:
    [lesson] = [one for one in learn(conn, policy=PlanPolicy()) if one.kind == "quality"]
    return lesson


def test_nothing_is_learned_where_nobody_said_anything(conn: Connection) -> None:
    answered(conn, 30, lambda _number: None)

    assert not quality(conn).is_new
    assert active_estimators(conn) == []


def test_what_feedback_shows_clearly_is_put_in_use(conn: Connection) -> None:
    answered(conn, 200, lambda number: float(number % 2))

    lesson = quality(conn)

    assert lesson.is_new, lesson.reason
    [active] = active_estimators(conn)
    assert active.digest.hex() == lesson.figures["digest"]


def test_what_feedback_shows_may_be_luck_is_not_put_in_use(conn: Connection) -> None:
    # As good as the catalog says, on documents that have nothing to do with it.
    coins = np.random.default_rng(4).random(200) < CHEAP.quality_prior_ppm[Task.SUMMARIZE] / 1e6
    answered(conn, 200, lambda number: float(coins[number]))

    assert not quality(conn).is_new
    assert active_estimators(conn) == []


def test_a_version_is_compared_on_documents_that_came_after_it(conn: Connection) -> None:
    answered(conn, 200, lambda number: float(number % 2))
    assert quality(conn).is_new

    again = quality(conn)

    assert not again.is_new
    assert again.figures["outcomes"] == 0
