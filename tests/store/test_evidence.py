"""Audit records: chained in the order in which they were written, whoever writes at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.domain.evidence import GENESIS, canonical, first_fault
from scheduler.store.evidence import append, heads, records


@pytest.fixture
def conn(shared_conn: Connection) -> Connection:
    return shared_conn


def test_a_stream_s_records_are_chained_and_read_back_in_order(conn: Connection) -> None:
    append(conn, stream="planner", kind="plan", bodies=[{"plan": 1}, {"plan": 2}])
    append(conn, stream="planner", kind="plan", bodies=[{"plan": 3}])

    stored = list(records(conn, stream="planner"))

    assert [(record.seq, record.body) for record, _ in stored] == [
        (n, canonical({"plan": n})) for n in (1, 2, 3)
    ]
    assert first_fault(stored) is None
    assert heads(conn)["planner"] == (3, stored[-1][1])


def test_streams_do_not_know_of_each_other(conn: Connection) -> None:
    append(conn, stream="a", kind="k", bodies=[{"n": 1}])
    append(conn, stream="b", kind="k", bodies=[{"n": 1}])
    append(conn, stream="a", kind="k", bodies=[{"n": 2}])

    assert {stream: seq for stream, (seq, _) in heads(conn).items()} == {"a": 2, "b": 1}
    assert first_fault(records(conn, stream="a")) is None


def test_nothing_to_say_leaves_the_chain_as_it_is(conn: Connection) -> None:
    append(conn, stream="a", kind="k", bodies=[])

    assert heads(conn) == {"a": (0, GENESIS)}
    assert list(records(conn, stream="a")) == []


def test_a_record_that_was_rolled_back_leaves_no_gap(engine: Engine) -> None:
    with engine.begin() as conn:
        append(conn, stream="a", kind="k", bodies=[{"n": 1}])
    with engine.connect() as conn:
        append(conn, stream="a", kind="k", bodies=[{"n": "lost"}])
        conn.rollback()
    with engine.begin() as conn:
        append(conn, stream="a", kind="k", bodies=[{"n": 2}])

    with engine.connect() as conn:
        assert first_fault(records(conn, stream="a")) is None
        assert heads(conn)["a"][0] == 2


def test_writers_of_one_stream_wait_for_each_other(engine: Engine) -> None:
    together = Barrier(5)

    def write(worker: int) -> None:
        together.wait(timeout=60)
        for n in range(20):
            with engine.begin() as conn:
                append(conn, stream="shared", kind="k", bodies=[{"worker": worker, "n": n}] * 2)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(write, range(5)))

    with engine.connect() as conn:
        stored = list(records(conn, stream="shared"))
        assert len(stored) == 200
        assert first_fault(stored) is None
        assert heads(conn)["shared"] == (200, stored[-1][1])
        times = [record.at for record, _ in stored]
        assert times == sorted(times)


@pytest.mark.parametrize("body", [{"text": 'süß \\ " \n 日本 \U0001f600'}, {"n": 2**70}, [], None])
def test_what_is_read_back_is_what_was_digested(conn: Connection, body: object) -> None:
    append(conn, stream="a", kind="k", bodies=[body])

    [(record, _)] = stored = list(records(conn, stream="a"))

    assert record.body == canonical(body)
    assert first_fault(stored) is None


def test_a_session_s_time_zone_does_not_change_a_digest(conn: Connection) -> None:
    append(conn, stream="a", kind="k", bodies=[{}])

    conn.execute(text("SET LOCAL timezone = 'Asia/Kathmandu'"))

    assert first_fault(records(conn, stream="a")) is None
