"""The outbox's batches."""

from sqlalchemy import Connection, text

from scheduler.store import outbox


def fill(conn: Connection, *keys: str) -> None:
    outbox.append(conn, topic="results", messages=((key, "{}") for key in keys))


def test_a_batch_is_the_oldest_rows_in_their_order(conn: Connection) -> None:
    fill(conn, "c", "a", "b")

    rows = outbox.claim_batch(conn, batch_no=1, above=0, limit=2)

    assert [row.key for row in rows] == ["c", "a"]
    assert outbox.batch_rows(conn, batch_no=1) == rows


def test_a_row_is_in_one_batch(conn: Connection) -> None:
    fill(conn, "a", "b", "c")
    outbox.claim_batch(conn, batch_no=1, above=0, limit=2)

    assert [row.key for row in outbox.claim_batch(conn, batch_no=2, above=0, limit=2)] == ["c"]
    assert outbox.open_batches(conn) == [1, 2]


def test_a_batch_is_dropped_and_no_other(conn: Connection) -> None:
    fill(conn, "a", "b")
    outbox.claim_batch(conn, batch_no=1, above=0, limit=1)

    outbox.drop_batch(conn, batch_no=1)

    assert [row.key for row in outbox.claim_batch(conn, batch_no=2, above=0, limit=9)] == ["b"]


def test_rows_below_the_bound_are_passed_by(conn: Connection) -> None:
    fill(conn, "a", "b")
    [first, second] = conn.execute(text("SELECT id FROM outbox ORDER BY id")).scalars()

    rows = outbox.claim_batch(conn, batch_no=1, above=first, limit=9)

    assert [row.id for row in rows] == [second]


def test_rows_nobody_sends_are_deleted_up_to_a_limit(conn: Connection) -> None:
    fill(conn, "a", "b", "c")

    count, highest = outbox.discard(conn, above=0, limit=2)

    assert (count, outbox.discard(conn, above=highest, limit=2)[0]) == (2, 1)
