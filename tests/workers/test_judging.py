"""A judging worked off: its call is settled like any other, and its score becomes feedback."""

from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Engine, text

from scheduler.domain.job import Task
from scheduler.store.judging import SCORE_SCHEMA
from tests.workers.audit import assert_books_are_right, count, job_states, total_nusd
from tests.workers.planned import Wish
from tests.workers.stub import Reply, Stub, answer
from tests.workers.test_execute import do

JUDGED = {"job": 1, "offer": 0, "task": "summarize", "answer": "A summary.", "request": {}}


def saying(words: str) -> Reply:
    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return answer(stub, request, body, text=words)

    return reply


def judge(engine: Engine, said: str) -> Stub:
    """A job, and the judging of what would be its answer, which says *said*."""
    params = {"schema": SCORE_SCHEMA, "judged": JUDGED}
    jobs = [Wish(key="a"), Wish(key="b", text="Of B.", task=Task.JUDGE, params=params)]
    return do(engine, jobs, reply=saying(said))


def test_a_score_is_kept_as_the_judges_and_no_event_tells_of_it(engine: Engine) -> None:
    stub = judge(engine, '{"score": 0.8125}')

    with engine.begin() as conn:
        [said] = conn.execute(text("SELECT * FROM feedback")).all()
        assert (said.job_id, said.kind, said.score_ppm) == (1, "score", 812_500)
        assert (said.source, said.judge_offer_id is not None) == ("judge", True)
        assert [one.key for one in conn.execute(text("SELECT key FROM outbox"))] == ["a"]
        assert job_states(conn) == {"done": 2}
        assert count(conn, "result") == 2
        assert total_nusd(conn, "posting") == sum(
            1_000 * sent + 4_000 * written for sent, written in stub.billed.values()
        )
        [version] = conn.execute(
            text("SELECT prompt FROM attempt JOIN job ON job.id = job_id"
                 " WHERE task = 'judge'")
        ).scalars()  # fmt: skip
        assert version == "judge-summarize-1"
        assert_books_are_right(conn)


@pytest.mark.parametrize("said", ['{"score": 1.2}', '{"score": "good"}', "very good", "{}"])
def test_what_is_no_score_is_waste_and_teaches_nothing(engine: Engine, said: str) -> None:
    judge(engine, said)

    with engine.begin() as conn:
        assert count(conn, "feedback") == 0
        assert job_states(conn) == {"done": 1, "failed": 1}
        assert [one.key for one in conn.execute(text("SELECT key FROM outbox"))] == ["a"]
        assert total_nusd(conn, "waste") > 0
        assert_books_are_right(conn)
