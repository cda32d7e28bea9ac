"""Whatever happens in two months, every figure is what a sum by hand says, to the nano-dollar."""

from datetime import date
from itertools import product

import pytest
from sqlalchemy import Connection, text

from scheduler.compliance.verification import verify
from scheduler.domain.ledger import EntryKind
from scheduler.store.budgets import list_budgets
from scheduler.store.reports import HEADINGS, budget_standings, spend
from tests.reporting.two_months import NOVEMBER, OCTOBER, YEAR, Books, two_months

OF_MONEY = (
    "budgets against their records",
    "the ledger against the budgets",
    "the ledger against the jobs",
    "the ledger against the days and plans",
    "the ledger against the calls",
    "unknown calls against the jobs",
)


def by_hand(books: Books) -> dict[tuple[str, date, date], dict[str, int]]:
    figures = {}
    for (scope, (starts_on, ends_on)), limit in books.limits.items():
        sums = books.sums((scope, (starts_on, ends_on)))
        figures[scope, starts_on, ends_on] = {"limit": limit, "free": 0} | {
            name: sums[name]
            for name in ("spent", "reserved", "overrun", "unknown", "waste", "judging")
        }
        figures[scope, starts_on, ends_on]["free"] = limit - sums["spent"] - sums["reserved"]
    return figures


@pytest.mark.parametrize("seed", range(3))
def test_at_every_instant_each_budget_says_what_a_sum_by_hand_says(
    conn: Connection, seed: int
) -> None:
    for books in two_months(conn, seed=seed, events=60):
        wanted = by_hand(books)
        found = {(one.scope, one.starts_on, one.ends_on): one for one in list_budgets(conn)}
        assert found.keys() == wanted.keys()
        for at, figures in wanted.items():
            for name in ("limit", "spent", "reserved", "free", "overrun"):
                assert getattr(found[at], f"{name}_nusd") == figures[name], (at, name)
            assert figures["free"] >= 0


@pytest.fixture(params=range(3))
def books(conn: Connection, request: pytest.FixtureRequest) -> Books:
    """The books when enough has happened, and a call's outcome is not known."""
    for books in two_months(conn, seed=request.param, events=400):
        kinds = {line.kind for line in books.lines}
        if len(books.lines) > 100 and books.unknown and kinds == set(EntryKind):
            return books
    raise AssertionError("too little happens")


def test_the_report_and_finance_s_view_say_what_a_sum_by_hand_says(books: Books) -> None:
    wanted = by_hand(books)
    standings = budget_standings(books.conn, starts_on=date.min, ends_on=date.max)
    view = books.conn.execute(text("SELECT * FROM finance_budget")).all()

    assert len(standings) == len(view) == len(wanted)
    for one in standings:
        figures = wanted[one.scope, one.starts_on, one.ends_on]
        assert {name: getattr(one, f"{name}_nusd") for name in figures} == figures
        assert one.is_proven
    for row in view:
        figures = wanted[row.scope, row.starts_on, row.ends_on]
        for name in ("limit", "spent", "reserved", "free"):
            assert getattr(row, f"{name}_nusd") == figures[name]
            assert getattr(row, f"{name}_usd") * 10**9 == figures[name]


HEADING = {
    "day": lambda line: str(line.day),
    "offer": lambda line: line.offer,
    "provider": lambda line: line.offer.split("/")[0],
    "organisation": lambda line: line.project.split("/")[0],
    "team": lambda line: line.project.rpartition("/")[0],
    "project": lambda line: line.project,
}
SPENDING = {
    "posting": (0, 1), "posting_credit": (0, -1), "waste": (1, 1), "waste_credit": (1, -1),
    "overrun": (2, 1), "overrun_credit": (2, -1),
}  # fmt: skip


def spent_by_hand(books: Books, by: str, period: tuple[date, date]) -> dict[str, list[int]]:
    """Used, waste, overrun and calls under each heading."""
    sums: dict[str, list[int]] = {}
    calls: dict[str, set[object]] = {}
    for line in books.lines:
        if line.kind in SPENDING and period[0] <= line.day < period[1]:
            heading = HEADING[by](line)
            figure, sign = SPENDING[line.kind]
            sums.setdefault(heading, [0, 0, 0])[figure] += sign * line.nusd
            calls.setdefault(heading, set()).add(line.attempt)
    return {heading: [*three, len(calls[heading])] for heading, three in sums.items()}


def test_spending_under_each_heading_is_what_a_sum_by_hand_says(books: Books) -> None:
    assert HEADING.keys() == HEADINGS.keys()
    for by, period in product(HEADINGS, (OCTOBER, NOVEMBER, YEAR)):
        found = {
            one.heading: [one.used_nusd, one.waste_nusd, one.overrun_nusd, one.calls]
            for one in spend(books.conn, by=by, starts_on=period[0], ends_on=period[1])
        }
        assert found == spent_by_hand(books, by, period), (by, period)


def test_the_audit_finds_the_money_right(books: Books) -> None:
    assert [one for one in verify(books.conn).findings if one.check in OF_MONEY] == []


def test_calls_of_unknown_outcome_are_in_finance_s_view(books: Books) -> None:
    found = books.conn.execute(
        text("SELECT attempt_id, project, reserved_nusd FROM finance_unknown")
    )

    assert {tuple(row) for row in found} == {
        (one.attempt, one.line.project, one.line.nusd) for one in books.unknown
    }
