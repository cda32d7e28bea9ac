"""`apportion results` gives the results back, as JSON lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.compliance.day import ANSWERED, OUTPUT


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_result_is_one_line(run: Run, day_url: str) -> None:
    done, failed = lines(run("results", database=day_url).stdout)

    assert done.pop("finished_at").endswith("+00:00")
    assert done == {
        "job_id": "a",
        "scope": "default/default/default",
        "task": "summarize",
        "status": "done",
        "output": OUTPUT,
        "reason": None,
        "provider": "sandbox",
        "model": "small",
        "offer": "sandbox/small",
        "reduction": "none",
        "cost_usd": "0.00000006",
        "quality_predicted": 0.8,
        "plan_id": 1,
        "attempt_id": str(ANSWERED),
        "tags": {},
    }
    assert (failed["job_id"], failed["reason"], failed["output"]) == ("b", "refused", None)
    assert failed["cost_usd"] == "0.00000004"


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        ([], ["a", "b"]),
        (["b"], ["b"]),
        (["--status", "done"], ["a"]),
        (["--scope", "default"], ["a", "b"]),
        (["--scope", "default/default"], ["a", "b"]),
        (["--since", "2020-01-01"], ["a", "b"]),
        (["--since", "2120-01-01T10:00"], []),
    ],
)
def test_only_what_is_wanted_is_printed(
    run: Run, day_url: str, arguments: list[str], jobs: list[str]
) -> None:
    printed = lines(run("results", *arguments, database=day_url).stdout)

    assert [line["job_id"] for line in printed] == jobs


def test_a_scope_is_not_its_name_s_beginning(run: Run, database_url: str) -> None:
    refused = run("results", "--scope", "def", database=database_url)

    assert refused.exit_code == 1
    assert "there is no scope 'def'" in str(refused.exception)


def test_results_go_to_a_file_and_are_counted(run: Run, day_url: str, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"

    told = run("results", "--out", str(out), database=day_url)

    assert told.stdout == ""
    assert "2 results" in told.stderr
    assert [line["job_id"] for line in lines(out.read_text("utf-8"))] == ["a", "b"]


def test_ids_without_a_result_are_named(run: Run, day_url: str) -> None:
    found = run("results", "b", "nobody", database=day_url)

    assert found.exit_code == 1
    assert [line["job_id"] for line in lines(found.stdout)] == ["b"]
    assert "no result of nobody: the id is not known" in str(found.exception)
