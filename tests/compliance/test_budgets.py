"""How much may be spent is a decision: it has a record, and no limit moves without one."""

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from scheduler.compliance.verification import verify
from scheduler.store.budgets import STREAM, LimitTooLow
from scheduler.store.evidence import records
from scheduler.store.migrate import upgrade
from tests.compliance.tampering import found, tamper
from tests.store.books import PROJECT, budget
from tests.store.test_migrations import to

CHECK = "budgets against their records"
OF_ACME = "budget acme from 2026-11-01: "


@pytest.fixture
def books(conn: Connection) -> Connection:
    """One budget, whose limit went from 100 to 250 to 200 nUSD."""
    for limit_nusd in (100, 250, 200):
        budget(conn, "acme", limit_nusd, by="anna")
    return conn


def test_a_budget_that_is_set_leaves_a_record_of_its_limit_before_and_after(
    books: Connection,
) -> None:
    said = [record.body for record, _ in records(books, stream=STREAM)]

    login = books.execute(text("SELECT session_user")).scalar_one()
    assert said[1] == (
        '{"budget":1,"by":"anna","ends_on":"2026-12-01","limit_before_nusd":100,'
        f'"limit_nusd":250,"login":"{login}","reserved_nusd":0,"scope":"acme","spent_nusd":0,'
        '"starts_on":"2026-11-01"}'
    )
    assert '"limit_before_nusd":null,"limit_nusd":100' in said[0]
    assert len(said) == 3


def test_a_refused_limit_leaves_no_record(day: Connection) -> None:
    with pytest.raises(LimitTooLow), day.begin_nested():
        budget(day, "default", 1, (date(2000, 1, 1), date(2100, 1, 1)))

    assert len(list(records(day, stream=STREAM))) == 1


def test_limits_that_were_raised_and_lowered_agree_with_their_records(books: Connection) -> None:
    budget(books, PROJECT, 10)

    assert verify(books).findings == ()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE budget SET limit_nusd = 201",
            OF_ACME + "limit_nusd is 201, recorded as 200",
        ),
        (
            "UPDATE budget SET ends_on = '2026-12-02'",
            OF_ACME + "ends_on is 2026-12-02, recorded as 2026-12-01",
        ),
        (
            "UPDATE budget SET scope_id = 1",
            OF_ACME + "scope is default, recorded as acme",
        ),
        ("DELETE FROM budget", OF_ACME + "is recorded, and its row is gone"),
        (
            "INSERT INTO budget (scope_id, starts_on, ends_on, limit_nusd)"
            " VALUES (1, '2026-11-01', '2026-12-01', 5)",
            "budget default from 2026-11-01: was put in: no record tells of it",
        ),
    ],
)
def test_a_budget_that_was_touched_in_the_database_is_named(
    books: Connection, statement: str, told: str
) -> None:
    tamper(books, statement)

    assert [(one.check, f"{one.where}: {one.what}") for one in verify(books).findings] == [
        (CHECK, told)
    ]


def test_a_limit_that_was_touched_shows_after_it_was_set_again(books: Connection) -> None:
    tamper(books, "UPDATE budget SET limit_nusd = 900")
    budget(books, "acme", 200)

    assert found(books) == [
        OF_ACME + "its limit was 900 nUSD before record 4 set it; the records before say 200"
    ]


def test_a_budget_that_was_put_in_shows_after_it_was_set(books: Connection) -> None:
    tamper(
        books,
        "INSERT INTO budget (scope_id, starts_on, ends_on, limit_nusd)"
        " SELECT id, '2026-12-01', '2027-01-01', 5 FROM scope WHERE path = 'acme'",
    )
    budget(books, "acme", 6, (date(2026, 12, 1), date(2027, 1, 1)))

    assert found(books) == [
        "budget acme from 2026-12-01: its limit was 5 nUSD before record 4 set it;"
        " the records before say nothing"
    ]


@pytest.fixture
def old_engine(empty_database_url: str) -> Iterator[Engine]:
    """A database of the schema before budgets had records, with two of them."""
    upgrade(empty_database_url)
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.connect() as conn:
        to(conn, "0015")
    with engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO budget (scope_id, starts_on, ends_on, limit_nusd) VALUES"
                " (1, '2026-11-01', '2026-12-01', 70), (3, '2026-01-01', '2027-01-01', 50)"
            )
        )
    yield engine
    engine.dispose()


def test_budgets_from_before_records_were_kept_are_found_and_are_no_alarm(
    old_engine: Engine, empty_database_url: str
) -> None:
    upgrade(empty_database_url)

    with old_engine.begin() as conn:
        said = [record.body for record, _ in records(conn, stream=STREAM)]
        assert [('"found":true' in body, '"by":null' in body) for body in said] == [
            (True, True)
        ] * 2
        assert verify(conn).findings == ()
        budget(conn, "default", 90)
        assert verify(conn).findings == ()
        tamper(conn, "UPDATE budget SET limit_nusd = 51 WHERE scope_id = 3")
        assert found(conn) == [
            "budget default/default/default from 2026-01-01: limit_nusd is 51, recorded as 50"
        ]


def test_a_database_that_went_back_and_up_again_has_its_budgets_found_anew(
    old_engine: Engine, empty_database_url: str
) -> None:
    upgrade(empty_database_url)
    with old_engine.connect() as conn:
        to(conn, "0015")
    with old_engine.begin() as conn:
        # As the program of that schema did.
        conn.execute(text("UPDATE budget SET limit_nusd = 60 WHERE scope_id = 3"))
    upgrade(empty_database_url)

    with old_engine.connect() as conn:
        assert verify(conn).findings == ()
        assert len(list(records(conn, stream=STREAM))) == 4
