"""JSON, CSV and the table say the same of two months, and what a sum by hand says."""

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import create_engine

from scheduler.domain.money import usd_text
from scheduler.reporting.budgets import FIGURES
from tests.cli.conftest import Run
from tests.reporting.two_months import Books, two_months
from tests.rig import postgres as postgres_rig


@pytest.fixture(scope="module")
def kept(postgres: postgres_rig.Server, template: str) -> Iterator[tuple[str, Books]]:
    """The database's URL, and what its books should say."""
    with postgres_rig.database(postgres, like=template) as name:
        url = postgres.database(name)
        engine = create_engine(url)
        with engine.begin() as conn:
            *_, books = two_months(conn, seed=7, events=200)
        yield url, books
        engine.dispose()


def told(run: Run, *arguments: str, database: str) -> tuple[list[dict[str, Any]], str]:
    """The report's lines, which JSON and CSV agree on, and the table."""
    as_json, as_csv, table = (
        run("report", *arguments, *form, database=database, COLUMNS="400")
        for form in (["--json"], ["--csv"], [])
    )
    assert [one.exit_code for one in (as_json, as_csv, table)] == [0, 0, 0], table.output
    lines: list[dict[str, Any]] = json.loads(as_json.stdout)
    as_text = [{name: str(value) for name, value in line.items()} for line in lines]
    assert list(csv.DictReader(io.StringIO(as_csv.stdout))) == as_text
    return lines, table.stdout


def test_budgets_are_the_same_in_every_form(run: Run, kept: tuple[str, Books]) -> None:
    url, books = kept

    lines, table = told(run, "budget", database=url)

    assert len(lines) == len(books.limits)
    for line in lines:
        wanted = books.sums((line["scope"], _period(books, line)))
        for figure in ("spent", "reserved", "overrun", "unknown", "waste", "judging"):
            assert line[f"{figure}_nusd"] == wanted[figure]
        for figure in FIGURES:
            assert Decimal(line[f"{figure}_usd"]) * 10**9 == line[f"{figure}_nusd"]
            assert usd_text(line[f"{figure}_nusd"]) in table


def test_spending_is_the_same_in_every_form_and_adds_up_to_the_organisation_s(
    run: Run, kept: tuple[str, Books]
) -> None:
    url, _ = kept
    by_scope: dict[str, dict[str, int]] = {}
    for by in ("organisation", "team", "project"):
        lines, table = told(run, "spend", "--by", by, "--period", "2026-11", database=url)
        by_scope |= {line[by]: line for line in lines}
        assert all(usd_text(line["used_nusd"]) in table for line in lines)

    parents = {path.rpartition("/")[0] for path in by_scope} - {""}
    assert parents >= {"acme", "acme/legal", "bolt"}
    for parent in parents:
        children = [line for path, line in by_scope.items() if path.rpartition("/")[0] == parent]
        for figure in ("used_nusd", "waste_nusd", "overrun_nusd", "calls"):
            assert by_scope[parent][figure] == sum(line[figure] for line in children), parent


def _period(books: Books, line: dict[str, Any]) -> tuple[Any, Any]:
    [period] = [
        (starts_on, ends_on)
        for scope, (starts_on, ends_on) in books.limits
        if (scope, f"{starts_on}", f"{ends_on}")
        == (line["scope"], line["starts_on"], line["ends_on"])
    ]
    return period
