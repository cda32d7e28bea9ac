"""A planner is killed between solve and commit: nothing is lost, and the standby plans."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.planning.queued import CHEAP, Wish, add_budget, add_jobs, add_offers, rows
from tests.rig.process import ProcessHandle
from tests.rig.waiting import eventually

Planners = Callable[[], ProcessHandle]


@pytest.fixture
def planners(database_url: str, tmp_path: Path) -> Iterator[Planners]:
    started: list[ProcessHandle] = []

    def start() -> ProcessHandle:
        log = tmp_path / f"planner-{len(started)}.log"
        started.append(ProcessHandle.python("tests.planning.one_planner", database_url, log=log))
        return started[-1]

    yield start
    for process in started:
        process.end()


def fill(engine: Engine, jobs: int) -> None:
    with engine.begin() as conn:
        [day] = rows(conn, "SELECT current_date AS today, current_date + 40 AS later, now()")
        add_offers(conn, CHEAP)
        add_budget(conn, 1, starts_on=day.today, ends_on=day.later)
        add_jobs(conn, *[Wish(not_before=day.now) for _ in range(jobs)])


def question(engine: Engine, query: str) -> Any:
    with engine.connect() as conn:
        return conn.execute(text(query)).scalar_one()


def planners_at_the_door(engine: Engine) -> int:
    """How many have solved their window, and wait for a lock to write the plan."""
    return int(
        question(
            engine,
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE 'INSERT INTO plan %' AND datname = current_database()",
        )
    )


def test_a_planner_killed_after_the_solve_leaves_nothing_and_the_standby_plans(
    engine: Engine, planners: Planners
) -> None:
    fill(engine, 20)
    with engine.begin() as door:
        # Closes the moment between solve and commit, as long as this transaction is open.
        door.execute(text("LOCK TABLE plan IN EXCLUSIVE MODE"))
        first = planners()
        first.wait_for(lambda: planners_at_the_door(engine), what="a planner that has solved")
        standby = planners()
        first.kill()

        assert question(engine, "SELECT count(*) FROM job WHERE state <> 'queued'") == 0
        assert question(engine, "SELECT sum(reserved_nusd) FROM budget") == 0
        for table in ("plan", "decision", "parcel", "ledger"):
            assert question(engine, f"SELECT count(*) FROM {table}") == 0
        assert question(engine, "SELECT count(*) FROM evidence WHERE kind = 'plan'") == 0

    standby.wait_for(
        lambda: question(engine, "SELECT count(*) = 20 FROM job WHERE state = 'planned'"),
        what="the standby's plan",
    )
    assert question(engine, "SELECT count(*) FROM plan") == 1
    assert question(engine, "SELECT count(DISTINCT job_id) FROM ledger") == 20
    assert question(engine, "SELECT sum(amount_nusd) FROM ledger") == question(
        engine, "SELECT reserved_nusd FROM budget"
    )


def test_two_planners_plan_each_job_once(engine: Engine, planners: Planners) -> None:
    both = [planners(), planners()]
    for _ in range(3):
        fill(engine, 20)
    eventually(
        lambda: question(engine, "SELECT count(*) = 60 FROM job WHERE state = 'planned'"),
        what="all jobs to be planned",
    )

    assert all(process.status is None for process in both)
    assert question(engine, "SELECT count(*) FROM ledger") == 60
    assert question(engine, "SELECT count(*) FROM decision") == 60
