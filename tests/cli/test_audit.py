"""`apportion audit`: verifies, signs, and fails aloud."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from scheduler.compliance.checkpoint import CheckpointForged
from scheduler.compliance.verification import AuditFailed
from tests.cli.conftest import Run
from tests.compliance.day import a_day


@pytest.fixture
def own_day_url(database_url: str) -> str:
    """A day's work of this test's own, to be tampered with."""
    engine = create_engine(database_url)
    with engine.begin() as conn:
        a_day(conn)
    engine.dispose()
    return database_url


def tamper(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as conn:
        conn.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            conn.execute(text(statement))
    engine.dispose()


def test_an_honest_database_passes(run: Run, day_url: str) -> None:
    told = run("audit", "verify", database=day_url)

    assert told.exit_code == 0
    assert "FAULT" not in told.stdout
    assert "4 streams, 5 records" in told.stdout


def test_a_fault_is_named_and_the_status_is_1(run: Run, own_day_url: str) -> None:
    tamper(own_day_url, "UPDATE evidence SET body = '{}' WHERE stream = 'plan'")

    told = run("audit", "verify", database=own_day_url)

    assert told.exit_code == 1
    assert isinstance(told.exception, AuditFailed)
    assert "stream plan, record 1: the record was altered" in told.stdout


def test_programs_get_the_findings(run: Run, own_day_url: str) -> None:
    tamper(own_day_url, "UPDATE decision SET cost_nusd = 1 WHERE job_id = 1")

    told = json.loads(run("audit", "verify", "--json", database=own_day_url).stdout)

    assert told["is_intact"] is False
    assert told["findings"] == [
        {
            "check": "decisions against their plans' digests",
            "where": "plan 1",
            "what": "a decision was altered, put in or taken away",
        }
    ]


def test_what_the_database_forgot_its_checkpoint_remembers(
    run: Run, own_day_url: str, tmp_path: Path
) -> None:
    note = tmp_path / "checkpoint.json"
    assert run("audit", "checkpoint", "--out", str(note), database=own_day_url).exit_code == 0
    tamper(
        own_day_url,
        "DELETE FROM evidence WHERE stream = 'plan'",
        "DELETE FROM evidence_head WHERE stream = 'plan'",
        "DELETE FROM plan",
        "DELETE FROM decision",
        "UPDATE ledger SET plan_id = NULL",
    )

    alone = run("audit", "verify", database=own_day_url)
    held = run("audit", "verify", "--checkpoint", str(note), database=own_day_url)

    assert alone.exit_code == 0
    assert held.exit_code == 1
    assert "stream plan, record 1: was there on" in held.stdout


def test_another_machine_verifies_with_the_public_key(
    run: Run, day_url: str, tmp_path: Path
) -> None:
    note = tmp_path / "checkpoint.json"
    run("audit", "checkpoint", "--out", str(note), database=day_url)
    public = run("audit", "key", database=day_url).stdout.strip()
    elsewhere = {"APPORTION_HOME": str(tmp_path / "elsewhere")}
    arguments = ("audit", "verify", "--checkpoint", str(note))

    keyless = run(*arguments, database=day_url, **elsewhere)
    held = run(*arguments, "--public-key", public, database=day_url, **elsewhere)

    assert keyless.exit_code == 2
    assert "--public-key" in keyless.output
    assert held.exit_code == 0
    assert not (tmp_path / "elsewhere").exists()


def test_a_forged_checkpoint_is_turned_away(run: Run, day_url: str, tmp_path: Path) -> None:
    note = tmp_path / "checkpoint.json"
    run("audit", "checkpoint", "--out", str(note), database=day_url)
    note.write_text(json.dumps(json.loads(note.read_text()) | {"made_at": "2020-01-01"}))

    told = run("audit", "verify", "--checkpoint", str(note), database=day_url)

    assert isinstance(told.exception, CheckpointForged)


def test_what_is_broken_is_not_signed(run: Run, own_day_url: str, tmp_path: Path) -> None:
    note = tmp_path / "checkpoint.json"
    tamper(own_day_url, "DELETE FROM result WHERE job_id = 1")

    told = run("audit", "checkpoint", "--out", str(note), database=own_day_url)

    assert isinstance(told.exception, AuditFailed)
    assert not note.exists()
