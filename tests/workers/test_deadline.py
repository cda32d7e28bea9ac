"""One timer for all calls of an offer: each ends in its own time, and by it alone."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from workers import loop
from workers.providers.deadline import Deadline

T = TypeVar("T")
NEVER_S = 60.0


def run(scene: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await scene

    return loop.run(bounded())


async def call(deadline: Deadline, answered: asyncio.Event) -> str:
    """What becomes of a call that waits for its answer."""
    task = deadline.begin()
    try:
        await answered.wait()
    except asyncio.CancelledError:
        if not deadline.passed(task):
            raise
        return "late"
    finally:
        deadline.end(task)
    return "answered"


def test_each_call_has_its_own_time_though_one_timer_serves_them_all() -> None:
    async def scene() -> list[float]:
        now = asyncio.get_running_loop().time
        deadline, never = Deadline(0.2), asyncio.Event()

        async def timed(after_s: float) -> float:
            await asyncio.sleep(after_s)
            began = now()
            assert await call(deadline, never) == "late"
            return now() - began

        return list(await asyncio.gather(*(timed(after_s) for after_s in (0.0, 0.1, 0.1, 0.15))))

    assert all(0.19 < took_s < 15 for took_s in run(scene()))


def test_a_call_that_was_answered_is_left_alone_and_so_is_what_its_task_does_next() -> None:
    async def scene() -> str:
        deadline, answered, never = Deadline(0.05), asyncio.Event(), asyncio.Event()
        answered.set()
        said = await call(deadline, answered)
        beside = asyncio.create_task(call(deadline, never))
        await asyncio.sleep(0.1)
        return f"{said}, {await beside}"

    assert run(scene()) == "answered, late"


def test_a_task_whose_time_was_up_can_call_again() -> None:
    async def scene() -> list[str]:
        deadline, answered = Deadline(0.02), asyncio.Event()
        said = [await call(deadline, answered), await call(deadline, answered)]
        answered.set()
        return [*said, await call(deadline, answered)]

    assert run(scene()) == ["late", "late", "answered"]


def test_who_cancels_a_call_is_not_told_that_it_was_late() -> None:
    async def scene() -> None:
        task = asyncio.create_task(call(Deadline(NEVER_S), asyncio.Event()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(scene())


@pytest.mark.parametrize("order", ["first", "second"])
def test_whoever_cancels_a_call_just_as_its_time_is_up_has_his_way(order: str) -> None:
    async def scene() -> None:
        task = asyncio.create_task(call(Deadline(0.01), asyncio.Event()))
        await asyncio.sleep(0)
        after_s = 0.005 if order == "first" else 0.015
        asyncio.get_running_loop().call_later(after_s, task.cancel)
        # Both are due when the loop comes to look, and the task has heard of neither.
        time.sleep(0.05)  # noqa: ASYNC251 - the loop is to be late
        await task

    with pytest.raises(asyncio.CancelledError):
        run(scene())
