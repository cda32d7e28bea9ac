"""Leasing parcels, and reporting on them under the lease, on a real Postgres."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.domain.work import Lease
from scheduler.store.calling import provider_id
from scheduler.store.parcels import (
    finish,
    held_parcels,
    lease_parcels,
    release,
    renew,
    waiting,
)
from scheduler.store.rescue import rescue_parcels
from tests.workers.planned import add_budget, listing, plan, wishes

MINUTE = timedelta(minutes=1)


def add_parcels(conn: Connection, count: int) -> list[int]:
    add_budget(conn, 10)
    offers = [listing("acme/m", url="http://127.0.0.1:9/v1")]
    return plan(conn, wishes(count), listings=offers, parcel_jobs=1).parcel_ids


def take(conn: Connection, worker: str, limit: int = 1) -> list[Lease]:
    found = provider_id(conn, "acme")
    assert found is not None
    taken = lease_parcels(conn, provider_id=found, worker=worker, limit=limit, lease=MINUTE)
    return [one.lease for one in taken]


def expire(conn: Connection) -> None:
    conn.execute(
        text("UPDATE parcel SET lease_expires_at = now() - interval '1 s' WHERE state = 'running'")
    )


def lost_by_a(conn: Connection, *, taken_by: str) -> tuple[Lease, Lease]:
    """The lease that worker a lost, and the one that stands, of the same parcel."""
    add_parcels(conn, 1)
    [stale] = take(conn, "a")
    expire(conn)
    rescue_parcels(conn, limit=10)
    [fresh] = take(conn, taken_by)
    return stale, fresh


def test_two_workers_never_lease_the_same_parcel(engine: Engine) -> None:
    with engine.begin() as conn:
        ids = add_parcels(conn, 5)

    # Both transactions are open at once, as they are when two workers ask together.
    with engine.begin() as first, engine.begin() as second:
        ours = take(first, "a", limit=3)
        theirs = take(second, "b", limit=3)

    assert [held.parcel_id for held in ours] == ids[:3]
    assert [held.parcel_id for held in theirs] == ids[3:]


def test_the_soonest_due_parcel_is_leased_first(conn: Connection) -> None:
    ids = add_parcels(conn, 3)
    conn.execute(
        text("UPDATE parcel SET due_at = now() - interval '1 h' WHERE id = :id"), {"id": ids[2]}
    )

    assert [held.parcel_id for held in take(conn, "a")] == [ids[2]]


def test_a_parcel_is_not_leased_before_its_time(conn: Connection) -> None:
    add_parcels(conn, 1)
    conn.execute(text("UPDATE parcel SET not_before = now() + interval '1 h'"))

    assert take(conn, "a") == []


def test_a_parcel_whose_leases_are_used_up_is_not_leased_again(conn: Connection) -> None:
    add_parcels(conn, 1)
    conn.execute(text("UPDATE parcel SET attempt = attempt_limit"))

    assert take(conn, "a") == []


@pytest.mark.parametrize("report", [renew, finish, release])
def test_a_late_report_is_turned_away(conn: Connection, report: object) -> None:
    stale, fresh = lost_by_a(conn, taken_by="b")

    assert told(conn, report, [stale]) == set()
    assert told(conn, report, [fresh]) == {fresh}


@pytest.mark.parametrize("report", [renew, finish, release])
def test_a_worker_that_has_its_lost_parcel_again_has_one_lease_and_not_two(
    conn: Connection, report: object
) -> None:
    stale, fresh = lost_by_a(conn, taken_by="a")

    assert told(conn, report, [stale, fresh]) == {fresh}


def test_a_worker_finds_the_lease_that_it_has_of_a_parcel_that_it_lost(conn: Connection) -> None:
    stale, fresh = lost_by_a(conn, taken_by="a")
    found = provider_id(conn, "acme")
    assert found is not None

    def held(*, but: list[Lease]) -> list[Lease]:
        return [one.lease for one in held_parcels(conn, provider_id=found, worker="a", but=but)]

    assert held(but=[stale]) == [fresh]
    assert held(but=[stale, fresh]) == []


def told(conn: Connection, report: object, leases: list[Lease]) -> set[Lease]:
    if report is renew:
        return renew(conn, leases, lease=MINUTE)
    return report(conn, leases)  # type: ignore[operator,no-any-return]


def test_a_parcel_that_is_given_back_may_be_leased_as_often_as_before(conn: Connection) -> None:
    add_parcels(conn, 1)
    before = conn.execute(text("SELECT attempt_limit - attempt FROM parcel")).scalar_one()
    [held] = take(conn, "a")

    release(conn, [held])

    left = conn.execute(text("SELECT attempt_limit - attempt FROM parcel")).scalar_one()
    assert left == before
    [again] = take(conn, "b")
    assert again.attempt == held.attempt + 1


def test_a_bell_for_a_parcel_that_was_taken_finds_nothing(conn: Connection) -> None:
    [parcel_id] = add_parcels(conn, 1)
    assert waiting(conn, parcel_id=parcel_id, attempt=0) == "acme"

    [held] = take(conn, "a")
    assert waiting(conn, parcel_id=parcel_id, attempt=0) is None
    release(conn, [held])

    assert waiting(conn, parcel_id=parcel_id, attempt=0) is None
    assert waiting(conn, parcel_id=parcel_id, attempt=1) == "acme"
