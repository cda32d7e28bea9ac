"""`apportion run` and `apportion demo`: everything embedded, from documents to results."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import POLICY, Start
from workers.sandbox.bill import read_rows
from workers.sandbox.process import SandboxProcess, sandbox_process

REPO = Path(__file__).parents[2]
DOCUMENTS = 40


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with sandbox_process(bill=tmp_path / "bill.jsonl", options=("--latency", "0.2")) as sandbox:
        yield sandbox


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    directory = tmp_path / "documents"
    directory.mkdir()
    for number in range(DOCUMENTS):
        text = f"Document {number} is about a bridge. The bridge was built in 19{number:02}. "
        (directory / f"{number:02}.txt").write_text(text * 5)
    return directory


def settings(home: Path, sandbox: SandboxProcess) -> dict[str, str]:
    work = POLICY["work"] | {"concurrency": 2}
    return {
        "APPORTION_HOME": str(home),
        "APPORTION_SANDBOX_URL": sandbox.url,
        "APPORTION_POLICY": json.dumps(POLICY | {"work": work}),
    }


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_a_run_that_is_broken_off_goes_on_and_pays_for_nothing_twice(
    documents: Path, sandbox: SandboxProcess, tmp_path: Path, start: Start
) -> None:
    out, env = tmp_path / "results.jsonl", settings(tmp_path / "home", sandbox)
    command = ("run", str(documents), "--task", "summarize", "--budget", "1", "--out", str(out))
    first = start(*command, env=env)
    first.wait_for(lambda: len(read_rows(sandbox.bill)) > 3, within_s=90)

    first.interrupt()
    first.wait()
    assert 0 < len(read_rows(sandbox.bill)) < DOCUMENTS
    assert "stopped: the same command goes on from here" in first.output
    assert f"\n{len(read_rows(sandbox.bill))} done, 0 failed," in first.output, first.output
    second = start(*command, env=env)
    assert second.wait(within_s=120) == 0, second.output

    found = lines(out)
    names = sorted(Path(line["job_id"]).name for line in found)
    assert names == [f"{number:02}.txt" for number in range(DOCUMENTS)]
    rows = read_rows(sandbox.bill)
    assert len({row["attempt_key"] for row in rows}) == len(rows) == DOCUMENTS
    cost_nusd = sum(row["cost_nusd"] for row in rows)
    assert round(sum(float(line["cost_usd"]) for line in found) * 1e9) == cost_nusd
    status = start("status", "--json", env=env)
    assert status.wait() == 0
    assert json.loads(status.output)["backlog"]["outbox"] == 0


def test_a_run_killed_outright_goes_on_with_every_call_accounted_for(
    documents: Path, sandbox: SandboxProcess, tmp_path: Path, start: Start
) -> None:
    out, env = tmp_path / "results.jsonl", settings(tmp_path / "home", sandbox)
    command = ("run", str(documents), "--task", "summarize", "--budget", "1", "--out", str(out))
    first = start(*command, env=env)
    first.wait_for(lambda: len(read_rows(sandbox.bill)) > 3, within_s=90)

    first.kill()
    second = start(*command, env=env)
    assert second.wait(within_s=150) == 0, second.output

    assert len(lines(out)) == DOCUMENTS
    audit = start("audit", "verify", env=env)
    assert audit.wait() == 0, audit.output


def test_a_run_says_what_its_budget_did_not_cover(
    documents: Path, sandbox: SandboxProcess, tmp_path: Path, start: Start
) -> None:
    out, env = tmp_path / "results.jsonl", settings(tmp_path / "home", sandbox)

    run = start(
        *("run", str(documents), "--task", "answer", "--question", "When was it built?"),
        *("--budget", "0.0002", "--out", str(out)),
        env=env,
    )

    assert run.wait(within_s=120) == 1
    assert 0 < len(lines(out)) < DOCUMENTS
    assert "larger --budget" in run.output
    assert sum(row["cost_nusd"] for row in read_rows(sandbox.bill)) <= 200_000


def test_a_run_short_of_money_plans_again_with_what_came_back(
    documents: Path, sandbox: SandboxProcess, tmp_path: Path, start: Start
) -> None:
    # Planned at once, half of this budget is spent: the rest was set aside, and not needed.
    out, env, budget_usd = tmp_path / "results.jsonl", settings(tmp_path / "home", sandbox), 0.02
    command = ("run", str(documents), "--task", "summarize", "--words", "30", "--out", str(out))

    run = start(*command, "--budget", str(budget_usd), env=env)

    assert run.wait(within_s=120) == 0, run.output
    assert "planned again" in run.output
    spent = sum(row["cost_nusd"] for row in read_rows(sandbox.bill)) / 1e9
    assert 0.6 * budget_usd < spent <= budget_usd


def test_the_demo_shows_the_main_job(tmp_path: Path, start: Start) -> None:
    out = tmp_path / "results.jsonl"

    demo = start("demo", "--out", str(out), env={"APPORTION_HOME": str(tmp_path / "home")})

    assert demo.wait(within_s=180) == 0, demo.output
    found = lines(out)
    assert len(found) >= 60
    assert {line["status"] for line in found} == {"done"}
    assert {line["provider"] for line in found} == {"sandbox", "sandbox-south"}
    assert "sandbox-south/sandbox-large-south@us fails" in demo.output
    assert "the same, to the nano-dollar" in demo.output
    assert "nothing was altered" in demo.output
    assert sum(float(line["cost_usd"]) for line in found) <= 0.40
