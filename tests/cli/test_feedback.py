"""`apportion feedback` takes in what became of results, line by line."""

import json
from pathlib import Path

from sqlalchemy import Engine, text

from tests.cli.conftest import Run
from tests.planning.queued import Wish, add_jobs


def test_feedback_comes_in_from_a_file_and_what_is_wrong_is_named_by_its_line(
    run: Run, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with engine.begin() as conn:
        first, second, _ = add_jobs(conn, Wish(), Wish(), Wish())
    said = [
        {"job_id": f"job-{first}", "kind": "score", "score": 0.25, "scope": "acme"},
        {"job_id": f"job-{second}", "kind": "reference", "reference": {"a": 1}, "scope": "acme"},
        {"job_id": "nobody", "kind": "use", "scope": "acme"},
    ]
    file = tmp_path / "said.jsonl"
    file.write_text("\n".join(["", *map(json.dumps, said), "{"]))

    ended = run("feedback", str(file), database=database_url)

    assert ended.exit_code == 1
    assert "2 taken in, 2 refused" in ended.output
    assert f"{file}:4: there is no job 'nobody'" in ended.output
    assert f"{file}:5: " in ended.output
    with engine.connect() as conn:
        found = conn.execute(
            text("SELECT job_id, kind, score_ppm, reference, source FROM feedback ORDER BY job_id")
        ).all()
    assert [tuple(one) for one in found] == [
        (first, "score", 250_000, None, "feedback"),
        (second, "reference", None, {"a": 1}, "feedback"),
    ]


def test_a_file_without_fault_ends_well(
    run: Run, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with engine.begin() as conn:
        [job_id] = add_jobs(conn, Wish())
    file = tmp_path / "said.jsonl"
    file.write_text(json.dumps({"job_id": f"job-{job_id}", "kind": "use", "scope": "acme"}))

    ended = run("feedback", str(file), database=database_url)

    assert (ended.exit_code, ended.output) == (0, "1 taken in, 0 refused\n")
