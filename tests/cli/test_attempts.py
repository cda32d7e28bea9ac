"""`apportion attempts` lists the calls of unknown outcome, and resolves each once."""

import json

import pytest
from sqlalchemy import create_engine

from scheduler.domain.money import BadAmount
from scheduler.store.resolution import NotUnknown
from tests.cli.conftest import Run
from tests.compliance.day import ANSWERED, LOST, a_day


@pytest.fixture
def own_day_url(database_url: str) -> str:
    engine = create_engine(database_url)
    with engine.begin() as conn:
        a_day(conn)
    engine.dispose()
    return database_url


def test_a_call_of_unknown_outcome_is_listed_with_what_is_kept_for_it(
    run: Run, day_url: str
) -> None:
    [told] = json.loads(run("attempts", "list", "--json", database=day_url).stdout)

    assert (told["id"], told["job"], told["reserved_nusd"]) == (str(LOST), "c", 100)
    assert str(LOST) in run("attempts", "list", database=day_url).stdout


def test_a_resolved_call_is_posted_and_the_rest_is_given_back(run: Run, own_day_url: str) -> None:
    arguments = ("attempts", "resolve", str(LOST), "--cost", "0.00000007", "--by", "anna")
    assert run(*arguments, database=own_day_url).exit_code == 0

    assert "every call" in run("attempts", "list", database=own_day_url).stdout
    [line] = json.loads(run("report", "budget", "--json", database=own_day_url).stdout)
    assert (line["spent_nusd"], line["reserved_nusd"], line["unknown_nusd"]) == (170, 0, 0)
    assert run("audit", "verify", database=own_day_url).exit_code == 0


def test_a_call_that_is_known_is_not_resolved(run: Run, day_url: str) -> None:
    refused = run("attempts", "resolve", str(ANSWERED), "--cost", "1", database=day_url)

    assert isinstance(refused.exception, NotUnknown)


def test_a_cost_that_is_no_amount_is_refused(run: Run, day_url: str) -> None:
    refused = run("attempts", "resolve", str(LOST), "--cost", "much", database=day_url)

    assert isinstance(refused.exception, BadAmount)
