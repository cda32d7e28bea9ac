"""Real worker processes: rung for, stopped, killed, and held against the sandbox's own bill."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.rig.process import ProcessHandle
from tests.workers.audit import assert_books_are_right, count, job_states
from tests.workers.planned import add_budget, plan, wishes
from tests.workers.served import Scene, scene

Start = Callable[..., ProcessHandle]


@pytest.fixture
def place(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(engine, database_url, tmp_path) as place:
        yield place


def planned(place: Scene, jobs: int, *offers: str, parcel_jobs: int = 64) -> None:
    with place.engine.begin() as conn:
        add_budget(conn, 100)
        plan(conn, wishes(jobs), listings=place.listings(*offers), parcel_jobs=parcel_jobs)


def all_over(engine: Engine) -> bool:
    with engine.begin() as conn:
        return count(conn, "job", "state NOT IN ('done', 'failed')") == 0


def test_a_bell_makes_a_worker_do_what_is_planned(place: Scene, start: Start) -> None:
    planned(place, 200, "sandbox/small")
    worker = start("worker", env=place.environ())
    place.ring()

    worker.wait_for(lambda: all_over(place.engine), what="all jobs to be over")

    with place.engine.begin() as conn:
        assert job_states(conn) == {"done": 200}
        assert_books_are_right(conn)
    worker.terminate()
    assert worker.wait() == 0
