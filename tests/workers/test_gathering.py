"""A busy process's threads are kept on one processor, until others keep them waiting there."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.domain.policy import WorkPolicy
from workers import gathering, loop, process
from workers.desk import Place
from workers.gathering import (
    LONG_S,
    PAUSE_FIRST_S,
    PAUSE_MOST_S,
    Gathering,
    Threads,
    Times,
    gather_threads,
    thread_times,
)

BUSY, KEPT_WAITING, IDLE = Times(0.7, 0.2), Times(0.4, 0.5), Times(0.1, 0.0)


def look(
    gathering: Gathering, now: float, lead: Times, *, others_ran: float = 0.2, span_s: float = 1
) -> bool:
    return gathering.look(now, span_s=span_s, lead=lead, others_ran=others_ran)


@pytest.mark.parametrize(
    ("ran", "others_ran", "are_gathered"),
    [(0.2, 0.2, False), (0.4, 0.2, True), (0.8, 0.19, True), (0.9, 0.3, False)],
)
def test_threads_are_gathered_that_need_most_of_a_processor_and_no_more(
    ran: float, others_ran: float, are_gathered: bool
) -> None:
    lead = Times(ran / 2, 0.0)

    assert look(Gathering(), 1, lead, others_ran=others_ran / 2, span_s=0.5) is are_gathered


def test_waiting_for_ones_own_threads_is_no_reason_to_be_apart() -> None:
    together = Gathering(is_on=True)

    assert look(together, 1, Times(0.7, 0.3), others_ran=0.2)
    assert not look(together, 2, Times(0.7, 0.3), others_ran=0.1)


def test_threads_that_others_keep_waiting_are_let_go_for_longer_each_time() -> None:
    one, now, pauses = Gathering(), 0.0, []
    for _ in range(8):
        assert look(one, now, BUSY)
        now += 1
        assert not look(one, now, KEPT_WAITING)
        apart_at = now
        while not look(one, now + 0.5, BUSY):
            now += 0.5
        pauses.append(now + 0.5 - apart_at)

    assert pauses[:4] == [PAUSE_FIRST_S * 2**n for n in range(4)]
    assert pauses[-2:] == [PAUSE_MOST_S] * 2


def test_threads_that_were_together_for_long_are_soon_together_again() -> None:
    one = Gathering(pause_s=PAUSE_MOST_S)
    assert look(one, 0, BUSY)

    assert not look(one, LONG_S + 1, KEPT_WAITING)

    assert not look(one, LONG_S + PAUSE_FIRST_S, BUSY)
    assert look(one, LONG_S + 1 + PAUSE_FIRST_S, BUSY)


def test_threads_with_little_to_do_are_let_go_and_gathered_as_soon_as_there_is_more() -> None:
    one = Gathering()
    assert look(one, 0, BUSY)

    assert not look(one, 1, IDLE, others_ran=0.1)
    assert look(one, 1.5, BUSY)


class Scene:
    """The calling thread as lead, with another; how they do is said, and not measured."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._other = threading.Thread(target=self._over.wait)
        self._other.start()
        self.ids = [threading.get_native_id(), self._other.native_id or 0]
        self.times = dict.fromkeys(self.ids, Times(0, 0))

    def passed(self, lead: Times, other: Times) -> None:
        for thread, more in zip(self.ids, (lead, other), strict=True):
            ran, waited = self.times[thread]
            self.times[thread] = Times(ran + more.ran, waited + more.waited)

    def processors(self) -> list[set[int]]:
        return [os.sched_getaffinity(thread) for thread in self.ids]

    def close(self) -> None:
        self._over.set()
        self._other.join()


@pytest.fixture
def scene() -> Iterator[Scene]:
    allowed = os.sched_getaffinity(0)
    scene = Scene()
    yield scene
    scene.close()
    os.sched_setaffinity(0, allowed)


def test_all_of_them_are_placed_where_the_lead_is_and_wherever_they_may_be_again(
    scene: Scene,
) -> None:
    allowed = os.sched_getaffinity(0)
    threads = Threads(10, times=lambda: dict(scene.times))

    scene.passed(BUSY, Times(0.2, 0))
    threads.look(11)
    lead, other = scene.processors()
    assert lead == other
    assert len(lead) == 1
    assert lead <= allowed

    scene.passed(KEPT_WAITING, Times(0.2, 0))
    threads.look(12)
    assert scene.processors() == [allowed, allowed]


def test_a_thread_that_ended_meanwhile_is_passed_by(scene: Scene) -> None:
    threads = Threads(10, times=lambda: dict(scene.times))
    scene.close()

    scene.passed(BUSY, Times(0.2, 0))
    threads.look(11)

    assert len(os.sched_getaffinity(0)) == 1


def test_threads_are_let_go_at_the_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.sched_getaffinity(0)
    monkeypatch.setattr(gathering, "LOOK_S", 0.02)
    monkeypatch.setattr(gathering, "thread_times", lambda: dict(scene.times))

    async def busy_for_a_while() -> set[int]:
        task = asyncio.create_task(gather_threads())
        until = time.monotonic() + 20
        found = allowed
        while len(found) > 1 and time.monotonic() < until:
            # As much as passed: so it looks busy, whatever the machine has to do.
            before = time.monotonic()
            await asyncio.sleep(0.01)
            scene.passed(Times(0.9 * (time.monotonic() - before), 0), Times(0, 0))
            found = os.sched_getaffinity(scene.ids[1])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    assert len(loop.run(busy_for_a_while())) == 1
    assert scene.processors() == [allowed, allowed]


@pytest.mark.parametrize("one_processor", [True, False])
def test_a_worker_gathers_its_threads_unless_it_is_told_not_to(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, one_processor: bool
) -> None:
    begun = []

    async def gather() -> None:
        begun.append(threading.current_thread().name)

    monkeypatch.setattr(process, "gather_threads", gather)
    place = Place(
        worker="w", stream="work-1", policy="", topic="results", wait_s=60, wait_most_s=60
    )
    with process.running(
        engine, access_to=dict, policy=WorkPolicy(), place=place, one_processor=one_processor
    ):
        pass

    assert begun == ["loop"] * one_processor


def test_where_threads_may_not_be_placed_they_are_left_to_the_system(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: int, processors: set[int]) -> None:
        raise PermissionError(1, "Operation not permitted")

    def busy() -> dict[int, Times]:
        scene.passed(Times(0.03, 0), Times(0, 0))
        return dict(scene.times)

    allowed = scene.processors()
    monkeypatch.setattr(gathering, "LOOK_S", 0.04)
    monkeypatch.setattr(gathering, "BUSY_LEAST", 0.0)
    monkeypatch.setattr(gathering, "thread_times", busy)
    monkeypatch.setattr(os, "sched_setaffinity", refused)

    loop.run(asyncio.wait_for(gather_threads(), 20))

    assert scene.processors() == allowed


def test_where_the_system_does_not_tell_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_TASKS", tmp_path / "none")

    loop.run(asyncio.wait_for(gather_threads(), 20))


def test_threads_that_end_while_they_are_asked_about_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_TASKS", tmp_path)
    own = threading.get_native_id()
    for thread in (own, own + 1):
        (tmp_path / str(thread)).mkdir()
    (tmp_path / str(own) / "schedstat").write_text("1500000000 20000000 7\n")

    assert thread_times() == {own: Times(1.5, 0.02)}


def test_a_system_that_tells_nothing_of_the_asking_thread_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_TASKS", tmp_path)
    (tmp_path / str(threading.get_native_id())).mkdir()

    with pytest.raises(FileNotFoundError):
        thread_times()


def test_the_system_tells_of_every_thread_how_long_it_ran(scene: Scene) -> None:
    before = thread_times()
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass

    after = thread_times()
    lead, other = scene.ids
    assert after[lead].ran - before[lead].ran > 0.15
    assert after[other].ran - before[other].ran < 0.1
    assert all(one.waited >= 0 for one in after.values())
