"""`apportion plan`, as a person and as a program use it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from scheduler.cli.plan import command
from tests.planning.queued import Wish, add_budget, add_jobs, rows

Plan = Callable[..., Result]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> Plan:
    """The command, on the test's own database."""
    for name in [one for one in os.environ if one.endswith("_API_KEY")]:
        monkeypatch.delenv(name)  # with a person's own keys, more would be on offer
    monkeypatch.setenv("APPORTION_HOME", str(tmp_path))
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    return lambda *arguments: CliRunner().invoke(command, arguments, catch_exceptions=False)


def queue(engine: Engine, *wishes: Wish) -> None:
    with engine.begin() as conn:
        [day] = rows(conn, "SELECT current_date AS today, current_date + 40 AS later, now()")
        add_budget(conn, 1, starts_on=day.today, ends_on=day.later)
        add_jobs(conn, *wishes)


def test_a_dry_run_shows_where_the_jobs_would_go_and_changes_nothing(
    engine: Engine, plan: Plan
) -> None:
    queue(engine, Wish(), Wish(residency=["mars"]))

    shown = plan("--dry-run")

    assert shown.exit_code == 0
    assert "Plan, not made: 1 of 2 jobs go to work, 1 wait, 0 fail." in shown.output
    assert "inhouse/extractive" in shown.output
    assert "no offer that can summarize is in region mars" in shown.output
    assert "one more buys" in shown.output
    with engine.connect() as conn:
        assert rows(conn, "SELECT FROM plan") == []
        assert rows(conn, "SELECT FROM offer") == []


def test_a_program_reads_the_plan_as_json(engine: Engine, plan: Plan) -> None:
    queue(engine, Wish())

    said = json.loads(plan("--dry-run", "--json").output)

    assert (said["plan_id"], said["jobs"], said["planned"]) == (None, 1, 1)
    assert said["value"] <= said["bound"]
    assert said["options"][0]["jobs"] == 1
    assert said["limits"][0]["measure"] == "cost_nusd"


def test_now_makes_the_plan(engine: Engine, plan: Plan) -> None:
    queue(engine, Wish())

    said = json.loads(plan("--now", "--json").output)

    assert said["plan_id"] == 1
    with engine.connect() as conn:
        [job] = rows(conn, "SELECT state FROM job")
    assert job.state == "planned"


def test_an_empty_queue_is_said_to_be_empty(plan: Plan) -> None:
    assert "nothing is queued" in plan("--dry-run").output
    assert json.loads(plan("--now", "--json").output) is None


@pytest.mark.parametrize("arguments", [(), ("--now", "--dry-run")])
def test_it_is_told_whether_to_show_or_to_make(plan: Plan, arguments: tuple[str, ...]) -> None:
    found = plan(*arguments)

    assert found.exit_code == 2
    assert "--dry-run to see the plan, or --now to make it" in found.output
