"""Claims on what an offer takes at a time, on a real Postgres."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, event, text

from scheduler.domain.shares import Share
from scheduler.store.calling import provider_id
from scheduler.store.parcels import lease_parcels
from scheduler.store.shares import claim, full_offers
from tests.rig.waiting import eventually
from tests.workers.planned import add_budget, listing, plan, wishes

MINUTE = timedelta(minutes=1)


@pytest.fixture
def offer_id(engine: Engine) -> int:
    """An offer that takes two calls at a time, and has four parcels."""
    with engine.begin() as conn:
        add_budget(conn, 10)
        made = plan(conn, wishes(4), listings=[listing("acme/m", concurrency=2)], parcel_jobs=1)
    return made.offers["acme/m"].id


def ask(conn: Connection, offer_id: int, worker: str, *, using: int = 0) -> Share:
    return claim(conn, {offer_id: using}, worker=worker, lasts=MINUTE)[offer_id]


def run_out(conn: Connection) -> None:
    conn.execute(text("UPDATE share SET expires_at = now() - interval '1 day'"))


def claims(conn: Connection) -> dict[str, int]:
    rows = conn.execute(text("SELECT worker, calls FROM share"))
    return {row.worker: row.calls for row in rows}


@contextmanager
def statements(conn: Connection) -> Iterator[list[str]]:
    said: list[str] = []

    def hear(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    event.listen(conn, "before_cursor_execute", hear)
    yield said
    event.remove(conn, "before_cursor_execute", hear)


def test_who_comes_gets_what_the_others_have_let_go(conn: Connection, offer_id: int) -> None:
    assert ask(conn, offer_id, "a").calls == 2
    assert ask(conn, offer_id, "b").calls == 0

    assert ask(conn, offer_id, "a", using=2).calls == 1
    assert ask(conn, offer_id, "b").calls == 0
    assert ask(conn, offer_id, "a", using=1).calls == 1

    assert ask(conn, offer_id, "b").calls == 1


def test_where_as_many_are_as_there_are_calls_nobody_else_has_a_place(
    conn: Connection, offer_id: int
) -> None:
    ask(conn, offer_id, "a")
    assert full_offers(conn, worker="c", lasts=MINUTE) == set()
    ask(conn, offer_id, "b")

    assert full_offers(conn, worker="c", lasts=MINUTE) == {offer_id}
    assert full_offers(conn, worker="a", lasts=MINUTE) == set()
    assert ask(conn, offer_id, "c").is_full
    assert claims(conn).keys() == {"a", "b"}


def test_an_offer_that_is_wanted_no_more_is_given_up(conn: Connection, offer_id: int) -> None:
    ask(conn, offer_id, "a")

    claim(conn, {}, worker="a", lasts=MINUTE, keeps_others=True)
    assert claims(conn) == {"a": 2}
    claim(conn, {}, worker="a", lasts=MINUTE)

    assert claims(conn) == {}


def test_what_a_dead_worker_had_is_free_when_its_claim_has_run_out(
    conn: Connection, offer_id: int
) -> None:
    short = timedelta(microseconds=1)
    ask(conn, offer_id, "dead")
    assert claim(conn, {offer_id: 0}, worker="b", lasts=short)[offer_id].calls == 0
    run_out(conn)

    assert claim(conn, {offer_id: 0}, worker="b", lasts=short)[offer_id].calls == 2

    assert claims(conn) == {"b": 2}


def test_after_the_server_was_started_nobody_counts_as_dead_for_as_long_as_a_claim_lasts(
    conn: Connection, offer_id: int
) -> None:
    ask(conn, offer_id, "a")
    run_out(conn)

    since_start = timedelta(days=365)

    assert claim(conn, {offer_id: 0}, worker="b", lasts=since_start)[offer_id].calls == 0


def test_a_limit_that_is_lowered_holds_once_calls_have_ended(
    conn: Connection, offer_id: int
) -> None:
    ask(conn, offer_id, "a")
    ask(conn, offer_id, "b")
    conn.execute(text("UPDATE offer SET concurrency = 1"))

    first, second = ask(conn, offer_id, "a", using=1), ask(conn, offer_id, "b", using=1)
    assert (first.is_full, second.is_full) == (False, True)
    assert ask(conn, offer_id, "b").is_full

    assert claims(conn).keys() == {"a"}
    assert ask(conn, offer_id, "a", using=1).calls == 1


def test_where_nothing_changes_there_is_one_statement(conn: Connection, offer_id: int) -> None:
    ask(conn, offer_id, "a")

    with statements(conn) as said:
        ask(conn, offer_id, "a", using=2)

    assert len(said) == 1


def test_a_claim_is_renewed_before_it_runs_out(conn: Connection, offer_id: int) -> None:
    ask(conn, offer_id, "a")
    conn.execute(text("UPDATE share SET expires_at = now() + interval '30 s'"))

    ask(conn, offer_id, "a", using=2)

    left = text("SELECT expires_at > now() + interval '50 s' FROM share")
    assert conn.execute(left).scalar_one()


def test_two_that_ask_together_do_so_one_after_the_other(engine: Engine, offer_id: int) -> None:
    def second() -> Share:
        with engine.begin() as conn:
            return ask(conn, offer_id, "b")

    waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as first:
            assert ask(first, offer_id, "a").calls == 2
            asking = pool.submit(second)
            eventually(lambda: first.execute(waits).scalar_one(), what="the second to wait")

        assert asking.result().calls == 0


def test_a_parcel_of_a_left_out_offer_is_not_leased(conn: Connection, offer_id: int) -> None:
    provider = provider_id(conn, "acme")
    assert provider is not None

    def leased(but: set[int]) -> int:
        return len(
            lease_parcels(conn, provider_id=provider, worker="a", limit=2, lease=MINUTE, but=but)
        )

    assert leased({offer_id}) == 0
    assert leased(set()) == 2
