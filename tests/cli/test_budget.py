"""`apportion budget` sets limits and lists them."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine

from scheduler.domain.money import BadAmount
from scheduler.reporting.periods import BadPeriod
from scheduler.store.budgets import STREAM, LimitTooLow
from scheduler.store.evidence import records
from scheduler.store.scopes import BadScope
from tests.cli.conftest import Run


def test_a_budget_is_of_this_month_where_nothing_is_said(run: Run, database_url: str) -> None:
    told = run("budget", "set", "acme/legal", "--limit", "250", database=database_url)

    month = f"{datetime.now(UTC):%Y-%m}"
    assert told.stdout == f"acme/legal may spend $250.00 in {month}; $250.00 free\n"


def test_what_was_set_is_listed(run: Run, database_url: str) -> None:
    for scope, limit, period in (("acme", "1000", "year"), ("acme/legal", "0.25", "2020-02")):
        arguments = ("budget", "set", scope, "--limit", limit, "--period", period)
        assert run(*arguments, database=database_url).exit_code == 0

    today = json.loads(run("budget", "list", "--json", database=database_url).stdout)
    ever = json.loads(run("budget", "list", "--all", "--json", database=database_url).stdout)

    assert [line["scope"] for line in today] == ["acme"]
    assert [line["limit_nusd"] for line in ever] == [1_000_000_000_000, 250_000_000]
    assert (ever[1]["starts_on"], ever[1]["ends_on"]) == ("2020-02-01", "2020-03-01")


def test_a_limit_is_changed_by_setting_it_again(run: Run, day_url: str, database_url: str) -> None:
    for limit in ("1", "2"):
        arguments = ("budget", "set", "acme", "--limit", limit, "--period", "2020", "--json")
        told = run(*arguments, database=database_url)

    assert json.loads(told.stdout)["limit_nusd"] == 2_000_000_000
    assert (
        len(json.loads(run("budget", "list", "--all", "--json", database=database_url).stdout)) == 1
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("acme", "--limit", "-1"), BadAmount),
        (("acme", "--limit", "much"), BadAmount),
        (("a b", "--limit", "1"), BadScope),
        (("acme", "--limit", "1", "--period", "soon"), BadPeriod),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, database_url: str, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    refused = run("budget", "set", *arguments, database=database_url)

    assert isinstance(refused.exception, error)
    assert json.loads(run("budget", "list", "--all", "--json", database=database_url).stdout) == []


def test_who_set_a_limit_is_on_record(run: Run, database_url: str) -> None:
    for said in (("--by", "anna"), ()):
        run("budget", "set", "acme", "--limit", "1", *said, database=database_url, LOGNAME="otto")

    engine = create_engine(database_url)
    with engine.connect() as conn:
        said_by = [json.loads(one.body)["by"] for one, _ in records(conn, stream=STREAM)]
    engine.dispose()
    assert said_by == ["anna", "otto"]


def test_a_limit_below_what_is_used_is_refused(run: Run, day_url: str) -> None:
    arguments = ("budget", "set", "default", "--limit", "0.0000001", "--period", "year")

    assert isinstance(run(*arguments, database=day_url).exception, LimitTooLow)


def test_with_no_budget_today_the_list_says_how_to_make_one(run: Run, database_url: str) -> None:
    assert "apportion budget set" in run("budget", "list", database=database_url).stdout
