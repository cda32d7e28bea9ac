"""`apportion status` tells how the service stands, to people and to programs."""

import json

import pytest

from tests.cli.conftest import Run


def test_programs_get_everything_as_json(run: Run, day_url: str) -> None:
    told = json.loads(run("status", "--json", database=day_url).stdout)

    assert told["queue"] == [
        {"state": state, "run_when": "now", "provider": None, "jobs": 1}
        for state in ("done", "failed", "queued")
    ]
    assert told["deferrals"] == [{"reason": "no budget [yet]", "jobs": 1}]
    assert told["parcels"] == [
        {"provider": "sandbox", "state": "ready", "parcels": 1, "jobs": 2, "overdue": 0}
    ]
    assert [(one["offer"], one["failures"]) for one in told["resting"]] == [("sandbox/small", 5)]
    assert told["positions"] == [{"topic": "documents.jobs", "partition": 0, "next_offset": 42}]


def test_what_piled_up_is_counted(run: Run, day_url: str) -> None:
    backlog = json.loads(run("status", "--json", database=day_url).stdout)["backlog"]

    assert backlog["oldest_wait_s"] > 0
    assert (backlog["calls_unknown"], backlog["unknown_nusd"]) == (1, 100)
    assert (backlog["outbox"], backlog["dead_letters"], backlog["calls_open"]) == (1, 1, 0)


def test_the_budgets_of_today_are_among_it(run: Run, day_url: str) -> None:
    [budget] = json.loads(run("status", "--json", database=day_url).stdout)["budgets"]

    figures = [budget[f"{name}_nusd"] for name in ("limit", "spent", "reserved", "free")]
    assert (budget["scope"], figures) == ("default", [10_000, 100, 100, 9_800])


@pytest.mark.parametrize(
    "shown",
    ["no budget [yet]", "[red]down[/red]", "sandbox/small", "documents.jobs", "$0.0000098", "1, $"],
)
def test_people_get_tables_with_every_name_as_it_is(run: Run, day_url: str, shown: str) -> None:
    assert shown in run("status", database=day_url).stdout


def test_a_service_that_has_done_nothing_says_so(run: Run, database_url: str) -> None:
    told = run("status", database=database_url)

    assert told.exit_code == 0
    assert "Backlog" in told.stdout
    assert "Jobs" not in told.stdout


def test_watching_is_for_people(run: Run, day_url: str) -> None:
    refused = run("status", "--json", "--watch", "1", database=day_url)

    assert refused.exit_code == 2
    assert "--json" in refused.output
