"""Documents as workers read them: out of the database, or out of the file they came from."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Engine, text

from scheduler.domain.job import Reduction, Task
from tests.workers.audit import assert_books_are_right, job_states
from tests.workers.bench import desk_for, work_off
from tests.workers.planned import TEXT, Wish, add_budget, listing, plan
from tests.workers.stub import Stub, answer, serving
from workers import loop


def prompts_sent(engine: Engine, *jobs: Wish) -> list[str]:
    """Work *jobs* off; what was sent for them."""
    sent: list[str] = []

    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        sent.append(body["messages"][-1]["content"])
        return answer(stub, request, body)

    async def scene() -> None:
        async with serving(reply) as stub:
            offers = [listing("acme/m", url=stub.url)]
            with engine.begin() as conn:
                add_budget(conn, 10)
                plan(conn, jobs, listings=offers)
            async with desk_for(engine, offers) as desk:
                await work_off(desk, "acme")

    loop.run(scene())
    return sent


def test_a_document_in_a_file_is_read_from_there(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("In a file: " + TEXT, encoding="utf-8-sig")

    [sent] = prompts_sent(engine, Wish(key="a", text="In a file: " + TEXT, path=str(file)))

    assert "In a file: The council met" in sent


@pytest.mark.parametrize("change", ["another text", None])
def test_a_job_whose_file_is_not_what_was_taken_in_fails_before_any_call(
    engine: Engine, tmp_path: Path, change: str | None
) -> None:
    file = tmp_path / "a.txt"
    if change is not None:
        file.write_text(change)

    sent = prompts_sent(engine, Wish(key="a", path=str(file)), Wish(key="b", text="B"))

    assert len(sent) == 1
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 1, "failed": 1}
        [reason] = conn.execute(text("SELECT reason FROM result WHERE reason <> ''")).scalars()
        assert "submit it again" in reason
        assert_books_are_right(conn)


@pytest.mark.parametrize(("reduction", "share"), [(Reduction.NONE, 1.0), (Reduction.STRONG, 0.2)])
def test_what_is_sent_is_as_long_as_the_plan_chose(
    engine: Engine, reduction: Reduction, share: float
) -> None:
    long = " ".join(f"Sentence number {n} says something of its own." for n in range(400))

    [sent] = prompts_sent(engine, Wish(key="a", text=long, reduction=reduction))

    assert share * len(long) * 0.8 < len(sent) < share * len(long) + 1_600


def test_a_schema_that_allows_anything_is_a_schema(engine: Engine) -> None:
    asked = Wish(key="a", task=Task.EXTRACT, params={"schema": {}})

    [sent] = prompts_sent(engine, asked)

    assert "{}" in sent
