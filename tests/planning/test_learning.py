"""What is learned from feedback, and when it is put in use."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.domain.job import Task
from scheduler.domain.policy import JudgePolicy, Policy
from scheduler.estimate.learning import learned
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor
from scheduler.estimate.scoring import SCORER
from scheduler.planning.learning import learn, outcome_scores
from scheduler.planning.lessons import Lesson
from scheduler.store.estimators import activate, active_estimators, add_estimator
from scheduler.store.outcomes import read_calls, read_scores
from scheduler.store.references import unscored
from tests.planning.queued import CHEAP, Wish, add_jobs, add_offers, listing

JUDGE = listing("other/judge", provider="other", tasks=frozenset({Task.JUDGE}))

LATER = "clock_timestamp() + interval '1 hour'"

SUBJECTS = ("the harbour and its ships", "a court and its judges")


def report(number: int) -> str:
    return f"Report {number} is about {SUBJECTS[number % 2]}. " * (3 + number % 7)


def answered(
    conn: Connection,
    count: int,
    score: Callable[[int], float | None],
    text_of: Callable[[int], str] = report,
) -> None:
    """Jobs that `CHEAP` answered, about two subjects in turn, each with feedback or none."""
    offer_id = add_offers(conn, CHEAP)[CHEAP.offer.name]
    wishes = [Wish(text=text_of(number)) for number in range(count)]
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
    [lesson] = [one for one in learn(conn, policy=Policy()) if one.kind == "quality"]
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


def judged(conn: Connection, said: Callable[[int], float | None]) -> None:
    """A judge's scores of those jobs, by their numbers."""
    judge = add_offers(conn, CHEAP, JUDGE)[JUDGE.offer.name]
    for number, job_id in enumerate(conn.execute(text("SELECT id FROM job ORDER BY id")).scalars()):
        if (score := said(number)) is not None:
            conn.execute(
                text("INSERT INTO feedback (job_id, kind, score_ppm, source, judge_offer_id)"
                     " VALUES (:id, 'score', :ppm, 'judge', :judge)"),
                {"id": job_id, "ppm": round(score * 1e6), "judge": judge},
            )  # fmt: skip


def scored(conn: Connection, **judge: int) -> tuple[list[float], list[float]]:
    """Score and weight of each outcome, in the order of the jobs' documents."""
    scores = read_scores(conn, edit_score=0.5, limit=1_000)
    score, weight = outcome_scores(scores, JudgePolicy(**judge))
    order = np.argsort(scores.document)
    return score[order].round(6).tolist(), weight[order].tolist()


def refer(conn: Connection, said: Callable[[int], str | None]) -> None:
    """The right answers to those jobs, by their numbers; what was answered is "x"."""
    for number, job_id in enumerate(conn.execute(text("SELECT id FROM job ORDER BY id")).scalars()):
        if (right := said(number)) is not None:
            conn.execute(
                text("INSERT INTO feedback (job_id, kind, reference, source)"
                     " VALUES (:id, 'reference', to_jsonb(CAST(:right AS text)), 'test')"),
                {"id": job_id, "right": right},
            )  # fmt: skip


def test_what_agrees_with_references_is_learned(conn: Connection) -> None:
    answered(conn, 200, lambda _number: None)
    refer(conn, lambda number: "x" if number % 2 else "something else")

    lesson = quality(conn)

    assert lesson.is_new, lesson.reason
    found = conn.execute(text("SELECT DISTINCT score_ppm, scorer FROM feedback ORDER BY 1")).all()
    assert [tuple(one) for one in found] == [(0, SCORER), (1_000_000, SCORER)]


def test_a_reference_waits_for_its_job_and_is_scored_anew_by_another_scorer(
    conn: Connection,
) -> None:
    answered(conn, 2, lambda _number: None)
    refer(conn, lambda _number: "x")
    conn.execute(text("DELETE FROM result WHERE job_id = (SELECT min(id) FROM job)"))

    quality(conn)
    assert scored(conn) == ([1.0], [1.0])
    assert unscored(conn, scorer=SCORER, limit=9) == []
    assert len(unscored(conn, scorer="another", limit=9)) == 1


def test_a_persons_score_comes_before_what_a_reference_says(conn: Connection) -> None:
    answered(conn, 2, lambda number: None if number else 0.5)
    refer(conn, lambda _number: "x")

    quality(conn)

    assert scored(conn) == ([0.5, 1.0], [1.0, 1.0])


def test_a_judges_scores_alone_teach_and_change_what_is_in_use(conn: Connection) -> None:
    answered(conn, 300, lambda _number: None)
    judged(conn, lambda number: float(number % 2))

    lesson = quality(conn)

    assert lesson.is_new, lesson.reason
    assert lesson.figures["judged"] == 300


def test_a_person_is_heard_before_a_judge_and_for_more(conn: Connection) -> None:
    answered(conn, 4, lambda number: [1.0, None, 0.25, None][number])
    judged(conn, lambda number: [None, 0.5, 0.25, None][number])

    score, weight = scored(conn, weight_ppm=200_000)

    # The fourth has no outcome; the pair agrees, and so the judge is taken at its word.
    assert score == [1.0, 0.5, 0.25]
    assert weight == [1.0, 0.2, 1.0]


def test_a_judge_that_is_milder_than_people_is_set_right_by_them(conn: Connection) -> None:
    answered(conn, 120, lambda number: 0.2 + 0.1 * (number % 4) if number < 100 else None)
    judged(conn, lambda number: 0.6 + 0.1 * (number % 4))

    score, weight = scored(conn)

    expected = [0.2 + 0.1 * (number % 4) for number in range(100, 120)]
    assert np.abs(np.array(score[100:]) - expected).max() < 0.06
    assert weight[100:] == [0.3] * 20
    [found] = quality(conn).figures["judges"].values()
    assert found["pairs"] == 100
    assert -0.4 < found["people_higher_by"] < -0.35


def test_what_judges_were_sent_says_nothing_of_how_long_answers_are(conn: Connection) -> None:
    answered(conn, 1, lambda _number: None)
    insert = """
        INSERT INTO attempt (id, started_at, job_id, parcel_id, fence, ordinal, offer_id, price_id,
                             reduction, prompt, state, reserved_nusd, booked_on, cost_nusd,
                             input_tokens, output_tokens, seconds, finished_at)
        SELECT gen_random_uuid(), now(), job.id, 1, 1, 1, offer.id, 1, 'none', 'x', 'succeeded',
               1, current_date, 1, 10, 10, 1, now()
        FROM job, offer
    """
    conn.execute(text(insert))
    assert len(read_calls(conn, age=timedelta(days=1), limit=10).at) == 1

    conn.execute(text("UPDATE job SET task = 'judge'"))

    assert len(read_calls(conn, age=timedelta(days=1), limit=10).at) == 0


def test_an_answer_that_was_cut_at_its_limit_says_that_it_would_have_been_longer(
    conn: Connection,
) -> None:
    answered(conn, 1, lambda _number: None)
    insert = """
        INSERT INTO attempt (id, started_at, job_id, parcel_id, fence, ordinal, offer_id, price_id,
                             reduction, prompt, state, reserved_nusd, booked_on, cost_nusd,
                             input_tokens, output_tokens, finish, seconds, finished_at)
        SELECT gen_random_uuid(), now(), job.id, 1, 1, 1, offer.id, 1, 'none', 'x', 'failed',
               1, current_date, 1, 10, 10, finish, 1, now()
        FROM job, offer, unnest(ARRAY['length', 'refusal', 'other']) AS finish
    """
    conn.execute(text(insert))

    calls = read_calls(conn, age=timedelta(days=1), limit=10)

    assert calls.cut.tolist() == [True]


def test_a_version_is_compared_on_documents_that_came_after_it(conn: Connection) -> None:
    answered(conn, 200, lambda number: float(number % 2))
    assert quality(conn).is_new

    again = quality(conn)

    assert not again.is_new
    assert again.figures["outcomes"] == 0


def test_what_is_said_again_of_an_answer_is_not_held_back(conn: Connection) -> None:
    """The version in use has learned from what was said first, so it would win on it."""
    answered(conn, 200, lambda number: float(number % 2))
    assert quality(conn).is_new
    again = "INSERT INTO feedback (job_id, kind, score_ppm, source, at)"
    conn.execute(text(f"{again} SELECT job_id, kind, score_ppm, 'x', {LATER} FROM feedback"))

    assert quality(conn).figures["outcomes"] == 0


def test_a_reference_that_came_before_its_answer_can_be_held_back(conn: Connection) -> None:
    answered(conn, 200, lambda number: float(number % 2))
    assert quality(conn).is_new
    answered(conn, 200, lambda _number: None, lambda number: f"{report(number)} Part {number}.")
    conn.execute(text(f"UPDATE result SET at = {LATER} WHERE job_id > 200"))
    conn.execute(
        text(
            "INSERT INTO feedback (job_id, kind, reference, source, at)"
            " SELECT job_id, 'reference', '\"x\"', 'test', at - interval '2 hours' FROM result"
            " WHERE job_id > 200"
        )
    )

    assert quality(conn).figures["outcomes"] > 20


@pytest.mark.parametrize("is_narrow", [False, True])
def test_a_version_of_another_program_gives_way(conn: Connection, is_narrow: bool) -> None:
    answered(conn, 200, lambda number: float(number % 2))
    body = narrow().to_bytes() if is_narrow else b'{"format": 0}\n'
    made = add_estimator(
        conn, kind="quality", digest=hashlib.sha256(body).digest(), body=body, figures={}
    )
    activate(conn, kind="quality", estimator_id=made)

    assert quality(conn).is_new

    [active] = active_estimators(conn)
    assert active.body != body


def test_a_version_of_another_program_is_no_longer_used_though_nothing_was_learned(
    conn: Connection,
) -> None:
    body = b'{"format": 0}'
    made = add_estimator(
        conn, kind="tokens", digest=hashlib.sha256(body).digest(), body=body, figures={}
    )
    activate(conn, kind="tokens", estimator_id=made)

    learn(conn, policy=Policy())

    assert active_estimators(conn) == []
    said = conn.execute(text("SELECT body FROM evidence WHERE stream = 'learn'")).scalars().all()
    assert any(hashlib.sha256(body).hexdigest() in one for one in said)


def narrow() -> Predictor:
    """What a program whose features were fewer has learned."""
    few = np.random.default_rng(1).random((40, 8), np.float32)
    return learned(
        Observations(
            features=few,
            row=np.arange(40),
            task=[Task.SUMMARIZE] * 40,
            offer=[CHEAP.offer.name] * 40,
            score=np.arange(40) % 2.0,
        )
    )


def test_who_learns_beside_another_waits_for_it(engine: Engine) -> None:
    with engine.begin() as conn:
        answered(conn, 200, lambda number: float(number % 2))

    def learn_once() -> Lesson:
        with engine.begin() as conn:
            conn.execute(text("SET lock_timeout = 0"))
            return quality(conn)

    with ThreadPoolExecutor(2) as pool:
        lessons = [one.result(timeout=60) for one in [pool.submit(learn_once) for _ in range(2)]]

    assert sorted(one.is_new for one in lessons) == [False, True]
