"""The ledger and the budgets it moves: both or neither, and never more than there is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError

from scheduler.domain.errors import BudgetExceeded
from scheduler.domain.ledger import Balance, EntryKind, balance
from scheduler.store.ledger import Entry, NoBudget, book, grant
from scheduler.store.reports import budget_standings
from scheduler.store.tables.money import ledger
from tests.store.books import DAY, MONTH, PROJECT, YEAR, budget, entry, figures

RESERVATION, RELEASE = EntryKind.RESERVATION, EntryKind.RELEASE
POSTING, WASTE, OVERRUN = EntryKind.POSTING, EntryKind.WASTE, EntryKind.OVERRUN
OTHER = "acme/legal/cases"


@pytest.fixture
def conn(shared_conn: Connection) -> Connection:
    return shared_conn


def test_a_reservation_that_fits_exactly_is_booked(conn: Connection) -> None:
    budget(conn, PROJECT, 100)

    book(conn, [entry(conn, RESERVATION, 100)])

    assert figures(conn, PROJECT) == (0, 100, 0, 0)


def test_one_nano_dollar_more_is_refused_and_nothing_is_written(conn: Connection) -> None:
    budget(conn, PROJECT, 100)

    with pytest.raises(BudgetExceeded, match=PROJECT) as refused:
        book(conn, [entry(conn, RESERVATION, 60), entry(conn, RESERVATION, 41)])

    assert (refused.value.asked_nusd, refused.value.free_nusd) == (101, 100)
    assert figures(conn, PROJECT) == (0, 0, 100, 0)
    assert conn.execute(select(ledger)).all() == []


def test_every_budget_above_bears_a_project_s_spending(conn: Connection) -> None:
    for path, limit_nusd in (("acme", 1_000), ("acme/legal", 500), (PROJECT, 200)):
        budget(conn, path, limit_nusd)

    book(conn, [entry(conn, RESERVATION, 70), entry(conn, RESERVATION, 30, project=OTHER)])

    assert figures(conn, "acme") == (0, 100, 900, 0)
    assert figures(conn, "acme/legal") == (0, 100, 400, 0)
    assert figures(conn, PROJECT) == (0, 70, 130, 0)


def test_the_tightest_of_the_budgets_decides(conn: Connection) -> None:
    budget(conn, "acme", 50)
    budget(conn, PROJECT, 200)

    with pytest.raises(BudgetExceeded, match="budget acme has 50"):
        book(conn, [entry(conn, RESERVATION, 51)])


def test_a_month_s_and_a_year_s_budget_both_bear_it(conn: Connection) -> None:
    budget(conn, PROJECT, 100, MONTH)
    budget(conn, PROJECT, 120, YEAR)
    book(conn, [entry(conn, RESERVATION, 100)])

    with pytest.raises(BudgetExceeded):  # the month is December's, but the year has 20 left
        book(conn, [entry(conn, RESERVATION, 21, booked_on=date(2026, 12, 1))])

    book(conn, [entry(conn, RESERVATION, 20, booked_on=date(2026, 12, 1))])
    assert figures(conn, PROJECT, MONTH) == (0, 100, 0, 0)
    assert figures(conn, PROJECT, YEAR) == (0, 120, 0, 0)


@pytest.mark.parametrize("day", [date(2026, 10, 31), date(2026, 12, 1)])
def test_money_is_not_set_aside_on_a_day_that_no_budget_covers(conn: Connection, day: date) -> None:
    budget(conn, PROJECT, 100)

    with pytest.raises(NoBudget, match=rf"{day}.*apportion budget set"):
        book(conn, [entry(conn, RESERVATION, 1, booked_on=day)])


@pytest.mark.parametrize("day", [date(2026, 11, 1), date(2026, 11, 30)])
def test_a_budget_covers_its_first_and_its_last_day(conn: Connection, day: date) -> None:
    budget(conn, PROJECT, 100)

    book(conn, [entry(conn, RESERVATION, 1, booked_on=day)])

    assert figures(conn, PROJECT) == (0, 1, 99, 0)


def test_spending_draws_on_what_was_set_aside(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 100)])

    book(conn, [entry(conn, POSTING, 60), entry(conn, WASTE, 15), entry(conn, RELEASE, 5)])

    assert figures(conn, PROJECT) == (75, 20, 5, 0)


def test_an_overrun_is_owed_and_moves_no_budget_s_free_money(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 100)])

    book(conn, [entry(conn, POSTING, 100), entry(conn, OVERRUN, 40)])

    assert figures(conn, PROJECT) == (100, 0, 0, 40)


def test_no_more_is_spent_than_was_set_aside(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 10)])

    with pytest.raises(IntegrityError, match="ck_budget_sign"):
        book(conn, [entry(conn, POSTING, 11)])


def test_an_entry_of_nothing_is_refused(conn: Connection) -> None:
    budget(conn, PROJECT, 100)

    with pytest.raises(IntegrityError, match="ck_ledger_amount"):
        book(conn, [entry(conn, RESERVATION, 0)])


def test_spending_that_names_no_call_is_refused(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 10)])

    with pytest.raises(IntegrityError, match="ck_ledger_attempt"):
        book(conn, [entry(conn, POSTING, 10, attempt_id=None)])


def test_many_at_once_never_book_more_than_there_is(engine: Engine) -> None:
    with engine.begin() as conn:
        budget(conn, "acme", 1_000)
        budget(conn, PROJECT, 800)
        budget(conn, OTHER, 800)
        asks = [entry(conn, RESERVATION, 7, project=path) for path in (PROJECT, OTHER)]
    together = Barrier(6)

    def ask(worker: int) -> int:
        together.wait(timeout=60)
        return sum(_booked(engine, asks[(worker + n) % 2]) for n in range(40))

    with ThreadPoolExecutor(6) as pool:
        booked = sum(pool.map(ask, range(6)))

    with engine.connect() as conn:
        assert booked == 1_000 // 7  # all that fits, and not one more
        assert figures(conn, "acme") == (0, booked * 7, 1_000 - booked * 7, 0)
        assert all(standing.is_proven for standing in _standings(conn))


def _booked(engine: Engine, one: Entry) -> bool:
    try:
        with engine.begin() as conn:
            book(conn, [one])
    except BudgetExceeded:
        return False
    return True


def test_transactions_that_touch_the_same_budgets_in_any_order_do_not_deadlock(
    engine: Engine,
) -> None:
    with engine.begin() as conn:
        for path in (PROJECT, OTHER):
            budget(conn, path, 1_000_000)
        both = [entry(conn, RESERVATION, 1, project=path) for path in (PROJECT, OTHER)]
        # Budgets are then found in the order of the entries; they must not be locked in it.
        for join in ("hashjoin", "mergejoin", "seqscan"):
            conn.execute(text(f"ALTER DATABASE {engine.url.database} SET enable_{join} = off"))
    together = Barrier(4)

    def work(worker: int) -> None:
        together.wait(timeout=60)
        for _ in range(25):
            with engine.begin() as conn:
                book(conn, both if worker % 2 else both[::-1])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    with engine.connect() as conn:
        assert [figures(conn, path)[1] for path in (PROJECT, OTHER)] == [100, 100]


def test_who_asks_of_one_budget_and_books_on_another_does_not_deadlock(engine: Engine) -> None:
    with engine.begin() as conn:
        for path in (PROJECT, OTHER):
            budget(conn, path, 1_000_000)
        first, last = (entry(conn, RESERVATION, 1, project=path) for path in (PROJECT, OTHER))
    together = Barrier(4)

    def work(worker: int) -> None:
        together.wait(timeout=60)
        for _ in range(25):
            with engine.begin() as conn:
                if worker % 2:
                    assert grant(conn, [(last.project_id, DAY, 1)], booking=[first]) == [True]
                book(conn, [first, last])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    with engine.connect() as conn:
        assert [figures(conn, path)[1] for path in (PROJECT, OTHER)] == [100, 100]


def test_asks_are_granted_in_their_order_as_far_as_the_money_goes(conn: Connection) -> None:
    budget(conn, "acme", 100)
    project = entry(conn, RESERVATION, 1).project_id
    other = entry(conn, RESERVATION, 1, project=OTHER).project_id

    asks = [(project, DAY, 60), (other, DAY, 50), (other, DAY, 40), (project, date.min, 1)]

    assert grant(conn, asks) == [True, False, True, False]


def test_what_is_given_back_at_the_same_time_may_be_asked_for(conn: Connection) -> None:
    budget(conn, PROJECT, 100)
    book(conn, [entry(conn, RESERVATION, 100)])
    back = [entry(conn, RELEASE, 30), entry(conn, POSTING, 50)]
    project = back[0].project_id

    assert grant(conn, [(project, DAY, 31), (project, DAY, 30)], booking=back) == [False, True]

    book(conn, [*back, entry(conn, RESERVATION, 30)])
    assert figures(conn, PROJECT) == (50, 50, 0, 0)


def _standings(conn: Connection) -> list[object]:
    return list(budget_standings(conn, starts_on=date.min, ends_on=date.max))


steps = st.lists(
    st.tuples(
        st.sampled_from([PROJECT, OTHER]),
        st.sampled_from([DAY, date(2026, 12, 5)]),
        st.lists(st.tuples(st.sampled_from(EntryKind), st.integers(1, 40)), min_size=1, max_size=4),
    ),
    max_size=12,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps, st.integers(0, 200), st.integers(0, 200))
def test_whatever_is_booked_the_budgets_are_what_the_ledger_adds_up_to(
    conn: Connection,
    steps: list[tuple[str, date, list[tuple[EntryKind, int]]]],
    year_nusd: int,
    month_nusd: int,
) -> None:
    with conn.begin_nested() as trial:
        budget(conn, "acme", year_nusd, YEAR)
        budget(conn, PROJECT, month_nusd, MONTH)
        one = {
            (path, kind): entry(conn, kind, 1, project=path)
            for path in (PROJECT, OTHER)
            for kind in EntryKind
        }
        kept: list[tuple[str, date, EntryKind, int]] = []
        for path, day, moves in steps:
            entries = [
                one[path, kind]._replace(amount_nusd=nusd, booked_on=day) for kind, nusd in moves
            ]
            try:
                with conn.begin_nested():
                    book(conn, entries)
            except (BudgetExceeded, NoBudget, IntegrityError):
                continue
            kept += [(path, day, kind, nusd) for kind, nusd in moves]

        year = balance((kind, nusd) for _, _, kind, nusd in kept)
        month = balance(
            (kind, nusd) for path, day, kind, nusd in kept if path == PROJECT and day == DAY
        )
        assert figures(conn, "acme", YEAR) == _figures(year, year_nusd)
        assert figures(conn, PROJECT) == _figures(month, month_nusd)
        assert conn.execute(text("SELECT count(*) FROM ledger")).scalar_one() == len(kept)
        assert min(_figures(year, year_nusd) + _figures(month, month_nusd)) >= 0
        trial.rollback()


def _figures(total: Balance, limit_nusd: int) -> tuple[int, ...]:
    free_nusd = limit_nusd - total.spent_nusd - total.reserved_nusd
    return total.spent_nusd, total.reserved_nusd, free_nusd, total.overrun_nusd
