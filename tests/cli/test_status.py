"""`apportion status` tells how the service stands, to people and to programs."""

import json

import pytest
from sqlalchemy import Engine, create_engine, text

from scheduler.store.status import queue
from tests.cli.conftest import Run
from tests.compliance.day import a_day


def test_programs_get_everything_as_json(run: Run, day_url: str) -> None:
    told = json.loads(run("status", "--json", database=day_url).stdout)

    assert told["queue"] == [
        {"state": state, "run_when": "now", "provider": None, "jobs": 1, "estimated": False}
        for state in ("queued", "done", "failed")
    ]
    assert told["deferrals"] == [{"reason": "no budget [yet]", "jobs": 1}]
    assert told["parcels"] == [
        {"provider": "sandbox", "state": "ready", "parcels": 1, "jobs": 2, "overdue": 0}
    ]
    assert [(one["offer"], one["failures"]) for one in told["resting"]] == [("sandbox/small", 5)]
    assert told["judging"] == {"jobs": 0, "done": 0, "spent_nusd": 0}
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


def test_the_finished_of_a_large_table_are_estimated_and_not_read(day_url: str) -> None:
    engine = create_engine(day_url)
    with engine.connect() as conn:
        exact, estimated = queue(conn), queue(conn, counted_most=-1)
    engine.dispose()

    assert {line.state for line in exact} == {"queued", "done", "failed"}
    assert [(line.state, line.estimated) for line in estimated] == [
        ("queued", False),
        ("finished", True),
    ]


def test_the_judges_of_today_and_their_pay_are_told(
    engine: Engine, database_url: str, run: Run
) -> None:
    with engine.begin() as conn:
        a_day(conn)
        conn.execute(text("UPDATE job SET task = 'judge', spent_nusd = 2000, received_at = now()"))

    shown = run("status", database=database_url).stdout

    assert "judgings begun today" in shown
    assert "for $0.000006" in shown


def test_watching_is_for_people(run: Run, day_url: str) -> None:
    refused = run("status", "--json", "--watch", "1", database=day_url)

    assert refused.exit_code == 2
    assert "--json" in refused.output
