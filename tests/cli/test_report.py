"""`apportion report`: figures that the ledger proves, for people, spreadsheets and programs."""

import csv
import io
import json

import pytest
from sqlalchemy import create_engine, text

from scheduler.reporting.budgets import FIGURES, LedgerMismatch
from tests.cli.conftest import Run
from tests.compliance.day import TODAY, a_day


def test_a_budget_s_figures_are_exact(run: Run, day_url: str) -> None:
    [line] = json.loads(run("report", "budget", "--json", database=day_url).stdout)

    assert [line[f"{figure}_nusd"] for figure in FIGURES] == [
        10_000,
        100,
        100,
        9_800,
        100,
        40,
        0,
        0,
    ]
    assert (line["limit_usd"], line["unknown_usd"]) == ("0.00001", "0.0000001")
    assert line["limit_nusd"] == line["spent_nusd"] + line["reserved_nusd"] + line["free_nusd"]


def test_a_spreadsheet_gets_the_same_figures(run: Run, day_url: str) -> None:
    text = run("report", "budget", "--csv", database=day_url).stdout
    [line] = csv.DictReader(io.StringIO(text))

    [told] = json.loads(run("report", "budget", "--json", database=day_url).stdout)
    assert line == {name: str(value) for name, value in told.items()}


def test_people_get_a_table(run: Run, day_url: str) -> None:
    told = run("report", "budget", database=day_url).stdout

    assert "$0.00001" in told
    assert all(figure in told for figure in FIGURES)


@pytest.mark.parametrize(("period", "lines"), [("year", 1), ("day", 1), ("2020", 0)])
def test_only_budgets_that_touch_the_period_are_reported(
    run: Run, day_url: str, period: str, lines: int
) -> None:
    told = run("report", "budget", "--period", period, "--json", database=day_url)

    assert len(json.loads(told.stdout)) == lines


@pytest.mark.parametrize("as_what", ["--json", "--csv", None])
def test_a_figure_that_the_ledger_does_not_prove_is_reported_aloud(
    run: Run, database_url: str, as_what: str | None
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as conn:
        a_day(conn)
        conn.execute(text("UPDATE budget SET spent_nusd = spent_nusd + 1"))
    engine.dispose()

    told = run("report", "budget", *([as_what] if as_what else []), database=database_url)

    assert told.exit_code == 1
    assert isinstance(told.exception, LedgerMismatch)
    assert "spent 101 nUSD against the ledger's 100" in str(told.exception)
    assert told.stdout  # what is there is shown all the same


def test_spending_is_listed_by_offer(run: Run, day_url: str) -> None:
    told = json.loads(run("report", "spend", "--json", database=day_url).stdout)

    assert told == [
        {
            "offer": "sandbox/small",
            "used_nusd": 60,
            "waste_nusd": 40,
            "overrun_nusd": 0,
            "used_usd": "0.00000006",
            "waste_usd": "0.00000004",
            "overrun_usd": "0",
            "calls": 2,
        }
    ]


@pytest.mark.parametrize(
    ("by", "heading"),
    [
        ("day", str(TODAY)),
        ("organisation", "default"),
        ("project", "default/default/default"),
        ("provider", "sandbox"),
        ("team", "default/default"),
    ],
)
def test_spending_is_listed_by_any_heading(run: Run, day_url: str, by: str, heading: str) -> None:
    [line] = json.loads(run("report", "spend", "--by", by, "--json", database=day_url).stdout)

    assert line[by] == heading


def test_spending_of_other_days_is_left_out(run: Run, day_url: str) -> None:
    assert (
        json.loads(run("report", "spend", "--period", "2020", "--json", database=day_url).stdout)
        == []
    )
    assert run("report", "spend", "--period", "2020", "--csv", database=day_url).stdout == (
        "offer,used_nusd,waste_nusd,overrun_nusd,used_usd,waste_usd,overrun_usd,calls\n"
    )
    assert (
        "nothing was spent" in run("report", "spend", "--period", "2020", database=day_url).stdout
    )


def test_a_csv_without_budgets_has_its_columns_all_the_same(run: Run, day_url: str) -> None:
    some = run("report", "budget", "--csv", database=day_url).stdout
    none = run("report", "budget", "--period", "1999", "--csv", database=day_url).stdout

    assert none.splitlines() == some.splitlines()[:1]
