"""A budget report is proved from the ledger, or says where it is not."""

from datetime import date

import pytest
from sqlalchemy import Connection, text

from scheduler.domain.ledger import EntryKind
from scheduler.reporting.budgets import FIGURES, LedgerMismatch, check_proven, row
from scheduler.store.ledger import book
from scheduler.store.reports import BudgetStanding, budget_standings, spend
from tests.store.books import MONTH, PROJECT, YEAR, budget, entry


def standings(conn: Connection) -> list[BudgetStanding]:
    return budget_standings(conn, starts_on=date.min, ends_on=date.max)


@pytest.fixture
def booked(conn: Connection) -> Connection:
    """A project under a month's budget of its own and its organisation's year."""
    budget(conn, PROJECT, 1_000, MONTH)
    budget(conn, "acme", 5_000, YEAR)
    book(conn, [entry(conn, EntryKind.RESERVATION, 500)])
    book(conn, [entry(conn, EntryKind.POSTING, 200), entry(conn, EntryKind.WASTE, 100)])
    book(conn, [entry(conn, EntryKind.RELEASE, 50), entry(conn, EntryKind.OVERRUN, 7)])
    return conn


def test_every_figure_comes_from_the_ledger(booked: Connection) -> None:
    year, month = standings(booked)

    assert (year.scope, month.scope) == ("acme", PROJECT)
    for standing, limit_nusd in ((year, 5_000), (month, 1_000)):
        assert standing.limit_nusd == limit_nusd
        assert (standing.spent_nusd, standing.reserved_nusd, standing.waste_nusd) == (300, 150, 100)
        assert standing.overrun_nusd == 7
        assert standing.is_proven
    check_proven([year, month])


@pytest.mark.parametrize("figure", ["spent_nusd", "reserved_nusd", "overrun_nusd"])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_nano_dollar_is_enough_to_be_found(booked: Connection, figure: str, by: int) -> None:
    booked.execute(text(f"UPDATE budget SET {figure} = {figure} + {by} WHERE limit_nusd = 1000"))

    with pytest.raises(LedgerMismatch, match=f"budget {PROJECT} from 2026-11-01") as found:
        check_proven(standings(booked))

    assert [standing.scope for standing in found.value.standings] == [PROJECT]


def test_a_line_for_programs_adds_up(booked: Connection) -> None:
    for standing in standings(booked):
        line = row(standing)
        assert line["limit_nusd"] == (
            line["spent_nusd"] + line["reserved_nusd"] + line["free_nusd"]
        )
        for figure in FIGURES:
            assert line[f"{figure}_usd"] * 10**9 == line[f"{figure}_nusd"]


def test_a_budget_without_entries_is_proved_to_be_empty(conn: Connection) -> None:
    budget(conn, PROJECT, 1)

    [standing] = standings(conn)

    assert standing.is_proven
    assert standing.free_nusd == 1


def test_a_call_with_two_entries_is_one_call(booked: Connection) -> None:
    [line] = spend(booked, by="project", starts_on=date.min, ends_on=date.max)

    assert (line.heading, line.calls) == (PROJECT, 1)
    assert (line.used_nusd, line.waste_nusd, line.overrun_nusd) == (200, 100, 7)


def test_spending_without_an_offer_is_not_left_out(booked: Connection) -> None:
    [line] = spend(booked, by="offer", starts_on=date.min, ends_on=date.max)

    assert (line.heading, line.used_nusd) == (None, 200)
