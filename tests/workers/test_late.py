"""A job whose deadline passes while it waits in a parcel is not paid for."""

import json

from sqlalchemy import Engine, text

from tests.workers.audit import assert_books_are_right, job_states
from tests.workers.bench import desk_for, work_off
from tests.workers.planned import add_budget, listing, plan, wishes
from tests.workers.stub import serving
from workers import loop


def test_no_answer_is_bought_that_comes_too_late(engine: Engine) -> None:
    async def scene() -> int:
        async with serving() as stub:
            offers = [listing("acme/m", url=stub.url)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, wishes(6), listings=offers)
                conn.execute(
                    text("""
                        UPDATE job SET deadline = CASE key
                            WHEN 'job-0' THEN timestamptz '2026-11-01 12:00+01'
                            WHEN 'job-1' THEN now() - interval '1 second'
                            WHEN 'job-2' THEN now() + interval '1 hour'
                        END
                    """)
                )
            async with desk_for(engine, offers) as desk:
                await work_off(desk, "acme")
            return len(stub.keys)

    assert loop.run(scene()) == 4
    with engine.connect() as conn:
        assert job_states(conn) == {"done": 4, "failed": 2}
        sent = conn.execute(text("SELECT payload FROM outbox WHERE key = 'job-0'")).scalar_one()
        assert_books_are_right(conn)
    assert json.loads(sent)["reason"] == (
        "its deadline passed before it was called: it was 2026-11-01 11:00:00+00:00"
    )
