"""`apportion submit`, from files, directories and lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from scheduler.cli.submit import command
from scheduler.intake.submission import short_id


@pytest.fixture
def submit(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)

    def run(*arguments: str | Path, stdin: str | None = None) -> Result:
        return CliRunner().invoke(command, [str(one) for one in arguments], input=stdin)

    return run


def rows(engine: Engine, columns: str) -> list[tuple[Any, ...]]:
    with engine.connect() as conn:
        return [tuple(row) for row in conn.execute(text(f"SELECT {columns} FROM job ORDER BY key"))]


def test_a_directory_is_a_job_for_each_text_and_the_same_again_is_none(
    submit: Any, engine: Engine, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    (docs / "b").mkdir(parents=True)
    (docs / "a.txt").write_text("One.")
    (docs / "b" / "c.md").write_text("Two.")
    (docs / ".hidden").write_text("None.")

    first = submit(docs, "--task", "summarize", "--words", 50, "--json")
    again = submit(docs, "--task", "summarize", "--words", 50, "--json")

    assert rows(engine, "key, params->>'words'") == [("docs/a.txt", "50"), ("docs/b/c.md", "50")]
    assert json.loads(first.stdout) == {"added": 2, "known": 0, "refused": 0}
    assert json.loads(again.stdout) == {"added": 0, "known": 2, "refused": 0}


def test_a_line_says_more_than_the_options(submit: Any, engine: Engine) -> None:
    lines = [{"text": "One."}, {"job_id": "b", "text": "Two.", "priority": 9}]

    done = submit(
        "-", "--task", "summarize", "--priority", 2, stdin="\n".join(map(json.dumps, lines))
    )

    assert done.exit_code == 0
    assert rows(engine, "key, priority") == [("b", 9), ("stdin:1", 2)]


@pytest.mark.parametrize(
    ("task", "option"),
    [
        ((), "--task"),
        (("--task", "classify"), "--label"),
        (("--task", "answer"), "--question"),
        (("--task", "extract"), "--schema"),
    ],
)
def test_a_refusal_names_the_option_that_is_missing(
    submit: Any, tmp_path: Path, task: tuple[str, ...], option: str
) -> None:
    (tmp_path / "a.txt").write_text("One.")

    refused = submit(tmp_path / "a.txt", *task)

    assert refused.exit_code == 1
    assert refused.stderr.rstrip().endswith(f"; give {option}")


def test_what_is_refused_is_told_by_file_and_line_and_the_rest_is_queued(
    submit: Any, engine: Engine, tmp_path: Path
) -> None:
    lines = tmp_path / "jobs.jsonl"
    lines.write_text('{"text": "One."}\n\nnot JSON\n{"text": "Two.", "priority": 10}\n')
    binary = tmp_path / "image.png"
    binary.write_bytes(b"\x89PNG\0\xff")

    done = submit(lines, binary, tmp_path / "missing.txt", "--task", "summarize")

    assert done.exit_code == 1
    assert f"{lines}:3: Invalid JSON" in done.stderr
    assert f"{lines}:4: priority" in done.stderr
    assert f"{binary}: is not UTF-8" in done.stderr
    assert "missing.txt: cannot be read" in done.stderr
    assert "1 jobs queued, 4 refused" in done.stdout
    assert rows(engine, "key") == [("jobs.jsonl:1",)]


def test_standard_input_can_be_one_document(submit: Any, engine: Engine) -> None:
    classify = ("--task", "classify", "--label", "x", "--label", "y", "--tag", "case=7")

    done = submit("-", "--text", "--job-id", "letter", *classify, stdin="A letter.")

    assert done.exit_code == 0
    assert rows(engine, "key, params, tags") == [("letter", {"labels": ["x", "y"]}, {"case": "7"})]


def test_an_id_too_long_keeps_its_end_and_stays_unique() -> None:
    long = [f"{'é' * 200}{n}/name.txt" for n in range(2)]

    ids = [short_id(one) for one in long]

    assert all(len(one.encode()) <= 200 and one.endswith("/name.txt") for one in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("name", ["a\nb", "\udcff"])
def test_an_id_is_text_without_line_breaks_whatever_the_file_is_called(name: str) -> None:
    made = short_id(name)

    assert made.isprintable()
    assert made.encode()
    assert made not in [short_id(other) for other in ("a?b", "?", "\udcaa")]


def test_an_id_that_a_person_gave_is_not_made_into_another(submit: Any) -> None:
    told = submit("-", "--text", "--job-id", "x" * 201, "--task", "summarize", stdin="A letter.")

    assert told.exit_code == 1
    assert "job_id: " in told.stderr
