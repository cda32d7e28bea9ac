"""Flushes lock what they need in one order, so that two of them never wait for each other."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.domain.work import AttemptState, Lease
from scheduler.store.assignments import read_assignments
from scheduler.store.calling import provider_id
from scheduler.store.parcels import lease_parcels
from scheduler.store.rescue import rescue_parcels
from scheduler.store.settlement import lock_jobs
from tests.rig.waiting import eventually
from tests.workers.audit import assert_books_are_right
from tests.workers.planned import PROJECT, add_budget, listing, plan, wishes
from workers.failover import DONE
from workers.flush import Batch, House, Next, flush, post_late, was_done
from workers.ids import new_ids
from workers.inhand import InHand, Noted, Outcome, Turn
from workers.prompts import Prompt
from workers.settle import Names
from workers.stock import in_hand

OTHER = "acme/legal/letters"
LEASE = timedelta(minutes=1)
WAITING_FOR_US = text("""
    SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid
""")


@pytest.fixture
def hands(engine: Engine) -> list[InHand]:
    """Two jobs in a worker's hands, of two projects that each have a budget of their own."""
    offers = [listing("acme/m", url="http://127.0.0.1:9/v1")]
    with engine.begin() as conn:
        for project in (PROJECT, OTHER):
            add_budget(conn, 10, scope=project)
        plan(conn, wishes(1), listings=offers, project=PROJECT)
        plan(conn, wishes(1, start=1), listings=offers, project=OTHER)
        provider = provider_id(conn, "acme")
        assert provider is not None
        leased = lease_parcels(conn, provider_id=provider, worker="a", limit=2, lease=LEASE)
        return [in_hand(one) for one in read_assignments(conn, leased)]


def leases(hands: list[InHand]) -> list[Lease]:
    return [hand.job.lease for hand in hands]


def house() -> House:
    return House(
        worker="a", stream="work-a", policy="ab", topic="results", lease=LEASE, wait_s=60.0,
        wait_most_s=90.0, names={1: Names(offer="acme/m", provider="acme")},
    )  # fmt: skip


def call(hand: InHand, *, asked_nusd: int = 0) -> Next:
    [new_id] = new_ids(1)
    prompt = Prompt(system="", user="", version="summarize-1", digest=bytes(32))
    return Next(hand=hand, id=new_id, prompt=prompt, asked_nusd=asked_nusd)


def noted(engine: Engine, hands: list[InHand]) -> list[Noted]:
    """The calls of *hands*, once they may go out."""
    with engine.begin() as conn:
        batch = Batch(leases=leases(hands), nexts=[call(hand) for hand in hands])
        return [one for one, _ in flush(conn, batch, house()).noted]


def answered(one: Noted) -> Turn:
    outcome = Outcome(noted=one, state=AttemptState.SUCCEEDED, cost_nusd=5, output=b'"a"')
    return Turn(hand=one.hand, verdict=DONE, outcome=outcome)


def budget_is_free(conn: Connection, scope: str) -> bool:
    return bool(
        conn.execute(
            text("""
                SELECT budget.id FROM budget JOIN scope ON scope.id = budget.scope_id
                WHERE scope.path = :scope FOR UPDATE OF budget SKIP LOCKED
            """),
            {"scope": scope},
        ).all()
    )


def test_what_a_flush_asks_of_is_locked_together_with_what_it_books_on(
    engine: Engine, hands: list[InHand]
) -> None:
    first, last = hands
    [one] = noted(engine, [first])
    batch = Batch(leases=leases(hands), turns=[answered(one)], nexts=[call(last, asked_nusd=7)])

    def settle() -> None:
        with engine.begin() as conn:
            flush(conn, batch, house())

    with ThreadPoolExecutor(1) as pool, engine.connect() as door:
        assert budget_is_free(door, first.job.scope)
        settling = pool.submit(settle)
        eventually(lambda: door.execute(WAITING_FOR_US).scalar_one(), what="the flush to wait")
        assert budget_is_free(door, last.job.scope)
        door.rollback()
        settling.result(timeout=60)

    with engine.connect() as conn:
        assert_books_are_right(conn, all_over=False)


def test_bills_that_come_late_wait_for_their_jobs_before_they_lock_a_budget(
    engine: Engine, hands: list[InHand]
) -> None:
    calls = sorted(noted(engine, hands), key=lambda one: one.id)
    first, last = (one.hand.job for one in calls)
    turns = [answered(one) for one in calls]
    with engine.begin() as conn:
        conn.execute(text("UPDATE parcel SET lease_expires_at = now() - interval '1 s'"))
        rescue_parcels(conn, limit=2)

    def post() -> int:
        with engine.begin() as conn:
            return post_late(conn, turns, by="a")

    with ThreadPoolExecutor(1) as pool, engine.connect() as door:
        lock_jobs(door, [last.job_id])
        posting = pool.submit(post)
        eventually(lambda: door.execute(WAITING_FOR_US).scalar_one(), what="the bills to wait")
        assert budget_is_free(door, first.scope)
        door.rollback()
        assert posting.result(timeout=60) == 2

    with engine.connect() as conn:
        assert_books_are_right(conn, all_over=False)


def test_a_commit_that_the_server_is_still_at_is_waited_for(
    engine: Engine, hands: list[InHand]
) -> None:
    batch = Batch(leases=leases(hands), nexts=[call(hand) for hand in hands])

    with ThreadPoolExecutor(1) as pool, engine.connect() as door:
        flushed = flush(door, batch, house())

        def ask() -> bool:
            with engine.begin() as conn:
                return was_done(conn, batch, flushed)

        asking = pool.submit(ask)
        eventually(lambda: door.execute(WAITING_FOR_US).scalar_one(), what="the second try to wait")
        door.commit()
        assert asking.result(timeout=60)
