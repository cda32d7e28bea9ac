"""Real worker processes: rung for, stopped, killed, and held against the sandbox's own bill."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from scheduler.planning.rescue import rescue_all
from scheduler.store.resolution import Resolution, list_unknown, resolve
from tests.rig.process import ProcessHandle
from tests.workers.audit import assert_books_are_right, count, job_states, total_nusd
from tests.workers.planned import add_budget, plan, wishes
from tests.workers.served import Scene, scene

Start = Callable[..., ProcessHandle]
LEASE_S = 1.0


@pytest.fixture
def place(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(engine, database_url, tmp_path, options=("--latency", "0.05")) as place:
        yield place


def planned(place: Scene, jobs: int, *offers: str, parcel_jobs: int = 64) -> None:
    with place.engine.begin() as conn:
        add_budget(conn, 100)
        plan(conn, wishes(jobs), listings=place.listings(*offers), parcel_jobs=parcel_jobs)


def all_over(engine: Engine) -> bool:
    with engine.begin() as conn:
        return count(conn, "job", "state NOT IN ('done', 'failed')") == 0


def finish_without(place: Scene, start: Start) -> None:
    """Let another worker do what a dead one left, as `serve` and time would bring about."""
    with place.engine.begin() as conn:
        conn.execute(text("UPDATE parcel SET lease_expires_at = now() WHERE state = 'running'"))
    rescue_all(place.engine)
    worker = start("worker", env=place.environ())

    def rung_and_over() -> bool:
        place.ring()
        return all_over(place.engine)

    worker.wait_for(rung_and_over, what="all jobs to be over")


def resolve_by_bill(place: Scene) -> None:
    """Resolve every unknown attempt by what the sandbox says that it billed for it."""
    billed: dict[str, int] = defaultdict(int)
    for row in place.bill():
        billed[row["attempt_key"]] += row["cost_nusd"]
    with place.engine.begin() as conn:
        for one in list_unknown(conn):
            resolution = Resolution(attempt_id=one.id, cost_nusd=billed[str(one.id)])
            resolve(conn, resolution, by="the sandbox's bill")


def assert_ledger_is_the_bill(place: Scene) -> None:
    billed: dict[UUID, int] = defaultdict(int)
    for row in place.bill():
        billed[UUID(row["attempt_key"])] += row["cost_nusd"]
    with place.engine.begin() as conn:
        posted = conn.execute(
            text(
                "SELECT attempt_id, sum(amount_nusd)::bigint AS nusd FROM ledger"
                " WHERE kind IN ('posting', 'waste', 'overrun') GROUP BY 1"
            )
        )
        assert {row.attempt_id: row.nusd for row in posted} == dict(billed)
        assert_books_are_right(conn)


def test_a_bell_makes_a_worker_do_what_is_planned(place: Scene, start: Start) -> None:
    planned(place, 200, "sandbox/small")
    worker = start("worker", env=place.environ())
    place.ring()

    worker.wait_for(lambda: all_over(place.engine), what="all jobs to be over")

    with place.engine.begin() as conn:
        assert job_states(conn) == {"done": 200}
    assert_ledger_is_the_bill(place)
    worker.terminate()
    assert worker.wait() == 0


def test_killed_in_the_midst_of_a_parcel_every_job_gets_one_result(
    place: Scene, start: Start
) -> None:
    planned(place, 300, "sandbox/small")
    worker = start("worker", env=place.environ(concurrency=8))
    place.ring()
    worker.wait_for(lambda: len(place.bill()) > 100, what="a hundred calls to be billed")
    worker.kill()

    finish_without(place, start)

    with place.engine.begin() as conn:
        assert job_states(conn) == {"done": 300}
        assert count(conn, "attempt", "state = 'unknown'") > 0
        assert_books_are_right(conn)
    resolve_by_bill(place)
    assert_ledger_is_the_bill(place)


def test_killed_between_the_answer_and_the_settlement_both_calls_are_accounted_for(
    place: Scene, start: Start
) -> None:
    planned(place, 20, "sandbox/small")
    with place.engine.begin() as conn:
        # Calls can be noted, and nothing can be settled.
        conn.execute(text("LOCK TABLE result IN ACCESS EXCLUSIVE MODE"))
        worker = start("worker", env=place.environ())
        place.ring()
        worker.wait_for(lambda: len(place.bill()) == 20, what="all calls to be billed")
        worker.kill()

    finish_without(place, start)

    with place.engine.begin() as conn:
        assert job_states(conn) == {"done": 20}
        assert count(conn, "attempt", "state = 'unknown'") == 20
        assert count(conn, "attempt", "state = 'succeeded'") == 20
    resolve_by_bill(place)
    assert_ledger_is_the_bill(place)
    with place.engine.begin() as conn:
        assert total_nusd(conn, "waste") == total_nusd(conn, "posting") > 0


def test_told_to_stop_a_worker_leaves_nothing_unknown(place: Scene, start: Start) -> None:
    planned(place, 400, "sandbox/small")
    worker = start("worker", env=place.environ(concurrency=8))
    place.ring()
    worker.wait_for(lambda: len(place.bill()) > 50, what="some calls to be billed")
    worker.terminate()

    assert worker.wait() == 0

    with place.engine.begin() as conn:
        assert count(conn, "parcel", "state = 'running'") == 0
        assert count(conn, "attempt", "state IN ('started', 'unknown')") == 0
        assert 0 < job_states(conn)["done"] < 400
    assert_ledger_is_the_bill(place)


def test_with_every_fault_at_once_the_ledger_is_the_bill(place: Scene, start: Start) -> None:
    faults = ("429", "500", "503", "cut", "malformed", "no_usage", "wrong_usage", "refusal")
    place.faults(*({"fault": fault, "rate": 0.05, "wait_s": 0.05} for fault in faults))
    planned(place, 300, "sandbox/small", "sandbox/medium", "inhouse/extractive")
    worker = start("worker", env=place.environ(breaker_failures=50))
    place.ring()

    worker.wait_for(lambda: all_over(place.engine), what="all jobs to be over")

    with place.engine.begin() as conn:
        assert job_states(conn) == {"done": 300}
        assert_books_are_right(conn)
    resolve_by_bill(place)
    assert_ledger_is_the_bill(place)


def test_a_worker_waits_for_a_database_that_is_away(place: Scene, start: Start) -> None:
    planned(place, 200, "sandbox/small", parcel_jobs=5)
    worker = start("worker", env=place.environ())
    place.ring()
    worker.wait_for(lambda: len(place.bill()) > 20, what="some calls to be billed")
    with place.engine.begin() as conn:
        # Every connection but this one is cut, in the midst of whatever it does.
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        # Also the bells have to find their way anew.
        conn.execute(text("UPDATE parcel SET ring_at = now()"))

    def rung_and_over() -> bool:
        place.ring()
        return all_over(place.engine)

    worker.wait_for(rung_and_over, what="all jobs to be over")

    with place.engine.begin() as conn:
        assert job_states(conn) == {"done": 200}
        assert count(conn, "attempt", "state = 'unknown'") == 0
    assert_ledger_is_the_bill(place)


def test_several_processes_share_the_work_and_end_together(place: Scene, start: Start) -> None:
    planned(place, 1200, "sandbox/small", parcel_jobs=30)
    workers = start("worker", "--processes", "2", env=place.environ(concurrency=8))
    # One that is up long before the other would do all the work, and rightly so.
    workers.wait_for(lambda: workers.output.count("ready for work") == 2, what="both to be up")

    def rung_and_over() -> bool:
        place.ring()
        return all_over(place.engine)

    workers.wait_for(rung_and_over, what="all jobs to be over")
    workers.terminate()

    assert workers.wait() == 0
    with place.engine.begin() as conn:
        streams = conn.execute(text("SELECT DISTINCT stream FROM evidence WHERE kind = 'calls'"))
        assert set(streams.scalars()) == {"work-1", "work-2"}
    assert_ledger_is_the_bill(place)
