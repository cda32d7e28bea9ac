"""Budgets: made, changed, and true from their first moment."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from scheduler.domain.errors import BudgetExceeded
from scheduler.domain.ledger import EntryKind
from scheduler.store.budgets import LimitTooLow, list_budgets
from scheduler.store.ledger import NoBudget, book
from scheduler.store.reports import budget_standings
from tests.store.books import DAY, MONTH, PROJECT, YEAR, budget, entry, figures

RESERVATION, POSTING = EntryKind.RESERVATION, EntryKind.POSTING


@pytest.fixture
def conn(shared_conn: Connection) -> Connection:
    return shared_conn


def test_a_budget_made_later_begins_with_what_the_ledger_holds(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 80)])
    book(conn, [entry(conn, POSTING, 30), entry(conn, EntryKind.OVERRUN, 2)])

    budget(conn, "acme", 200, YEAR)
    budget(conn, "acme", 200, (date(2026, 12, 1), date(2027, 1, 1)))

    assert figures(conn, "acme", YEAR) == (30, 50, 120, 2)
    assert figures(conn, "acme", (date(2026, 12, 1), date(2027, 1, 1))) == (0, 0, 200, 0)


def test_a_limit_can_come_down_to_what_is_used(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 80)])

    budget(conn, PROJECT, 80)

    assert figures(conn, PROJECT) == (0, 80, 0, 0)


def test_a_limit_below_what_is_used_is_refused(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 80)])

    said = rf"budget {PROJECT} cannot be limited to \$0.000000079: .* \$0.00000008 set aside"
    with pytest.raises(LimitTooLow, match=said):
        budget(conn, PROJECT, 79)

    assert figures(conn, PROJECT) == (0, 80, 20, 0)


def test_a_limit_below_what_is_owed_beside_is_no_matter(conn: Connection) -> None:
    budget(conn, PROJECT, 10)
    book(conn, [entry(conn, RESERVATION, 10)])
    book(conn, [entry(conn, POSTING, 10), entry(conn, EntryKind.OVERRUN, 90)])

    budget(conn, PROJECT, 10)

    assert figures(conn, PROJECT) == (10, 0, 0, 90)


def test_setting_a_budget_again_makes_no_second_one(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    budget(conn, PROJECT, 150)

    assert [line.limit_nusd for line in list_budgets(conn)] == [150]


def test_a_period_that_ends_before_it_begins_is_refused(conn: Connection) -> None:
    with pytest.raises(IntegrityError, match="ck_budget_period"):
        budget(conn, PROJECT, 100, (DAY, DAY))


def test_budgets_are_listed_for_the_days_they_cover(conn: Connection) -> None:
    budget(conn, PROJECT, 1, MONTH)
    budget(conn, PROJECT, 2, YEAR)

    def limits(on: date) -> list[int]:
        return [line.limit_nusd for line in list_budgets(conn, on=on)]

    assert limits(date(2026, 11, 30)) == [2, 1]
    assert limits(date(2026, 12, 1)) == [2]
    assert limits(date(2027, 1, 1)) == []


def test_no_entry_is_missed_by_a_budget_that_is_made_while_others_book(engine: Engine) -> None:
    with engine.begin() as conn:
        budget(conn, PROJECT, 1_000_000)
        one = entry(conn, RESERVATION, 3)
    together = Barrier(4)

    def book_many() -> None:
        together.wait(timeout=60)
        for _ in range(40):
            with engine.begin() as conn:
                book(conn, [one])

    def make_many() -> None:
        together.wait(timeout=60)
        for month in range(1, 13):
            with engine.begin() as conn:
                budget(conn, "acme", 1_000_000, (date(2026, 1, month), YEAR[1]))

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(book_many) for _ in range(3)] + [pool.submit(make_many)]
    for future in done:
        future.result()

    with engine.connect() as conn:
        standings = budget_standings(conn, starts_on=date.min, ends_on=date.max)
        assert [standing.reserved_nusd for standing in standings] == [360] * 13
        assert all(standing.is_proven for standing in standings)


def test_a_raised_limit_is_there_for_the_next_who_asks(conn: Connection) -> None:
    budget(conn, PROJECT, 10)
    with pytest.raises(BudgetExceeded):
        book(conn, [entry(conn, RESERVATION, 11)])

    budget(conn, PROJECT, 11)
    book(conn, [entry(conn, RESERVATION, 11)])

    assert figures(conn, PROJECT) == (0, 11, 0, 0)


def test_another_tenant_s_budget_bears_nothing_of_ours(conn: Connection) -> None:
    budget(conn, "bolt", 100)

    with pytest.raises(NoBudget):
        book(conn, [entry(conn, RESERVATION, 1)])
