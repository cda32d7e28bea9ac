"""What `apportion run` makes of the documents it is given, odd ones among them."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from scheduler.cli.context import open_service
from scheduler.cli.messages import Ask, BadDocuments, Taken, add_documents
from scheduler.cli.result_lines import write_results
from scheduler.cli.run import command
from scheduler.domain.job import Task
from scheduler.settings import read_settings
from scheduler.store.scopes import ensure_scope

TEXT = "The bridge was built in 1920. It is long. "


@pytest.fixture
def add(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)

    def add(*documents: Path) -> Taken:
        settings = read_settings()
        with open_service(settings) as service:
            with service.engine.begin() as conn:
                project = ensure_scope(conn, "runs/local/odd")
            return add_documents(service, settings, project, documents, Ask(task=Task.SUMMARIZE))

    return add


def keys(engine: Engine) -> list[str]:
    with engine.connect() as conn:
        found = conn.execute(text("SELECT key FROM job ORDER BY key")).scalars()
        return [Path(key).name for key in found]


def test_odd_documents_are_named_and_the_others_are_taken(
    add: Any, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "sub" / "good.txt").write_text(TEXT)
    (tmp_path / "long.md").write_text(TEXT * 50_000)  # longer than a message may be
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "binary.txt").write_bytes(b"abc\0def")
    (tmp_path / "wide.txt").write_bytes(TEXT.encode("utf-16"))
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / ".hidden.txt").write_text(TEXT)
    os.mkfifo(tmp_path / "pipe.txt")

    taken = add(tmp_path)

    assert keys(engine) == ["long.md", "good.txt"]
    assert taken.count == 2
    assert taken.problems == [
        f"{tmp_path}/binary.txt: has the character NUL; is it a binary file?",
        f"{tmp_path}/empty.txt: is empty",
        f"{tmp_path}/gone.txt: cannot be read: No such file or directory",
        f"{tmp_path}/wide.txt: is not UTF-8 text; convert it first",
    ]
    assert taken.left_out == [tmp_path / "scan.pdf"]


def test_no_more_of_a_long_file_is_read_than_may_be_taken(add: Any, tmp_path: Path) -> None:
    with (tmp_path / "long.txt").open("wb") as long:
        long.truncate(2**40)

    with pytest.raises(BadDocuments, match="is longer than 16777216 bytes; split it"):
        add(tmp_path / "long.txt")


def test_a_directory_that_cannot_be_read_is_named(
    add: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.txt").write_text(TEXT)
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(place: str) -> Any:
        # Whoever runs the tests may be root, to whom no directory is closed.
        if place.endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)

    assert add(tmp_path).problems == [f"{tmp_path}/closed: cannot be read: Permission denied"]


def test_a_result_is_told_by_its_documents_path_whatever_that_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    names = ["a:b.txt", "c\td.txt", os.fsdecode(b"\xff.txt"), os.fsdecode(b"\xfe.txt"), "f" * 240]
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"{TEXT} ({number})")
    settings, out = read_settings(), tmp_path / "out.jsonl"
    with open_service(settings) as service:
        with service.engine.begin() as conn:
            project = ensure_scope(conn, "runs/local/odd")
        places = [tmp_path / name for name in names]
        taken = add_documents(service, settings, project, places, Ask(task=Task.SUMMARIZE))
        with service.engine.begin() as conn:
            conn.execute(
                text(
                    "INSERT INTO result (job_id, tenant_id, status, reason, cost_nusd, digest)"
                    " SELECT id, tenant_id, 'failed', 'why', 0, '' FROM job"
                )
            )
        write_results(service, project.path, out, taken.names)
        told = [json.loads(line)["job_id"] for line in out.read_text().splitlines()]
        write_results(service, project.path, out, {})
        short = [json.loads(line)["job_id"] for line in out.read_text().splitlines()]

    assert taken.problems == []
    assert told == [
        f"{tmp_path}/{name}"
        for name in ["a:b.txt", "c\td.txt", "\\udcff.txt", "\\udcfe.txt", "f" * 240]
    ]
    assert short[0] == told[0]
    assert len(set(short)) == len(names)


def test_names_of_files_cannot_command_the_terminal(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    (tmp_path / "good.txt").write_text(TEXT)
    (tmp_path / "\x1b[2J.txt").write_text("")
    (tmp_path / "\x1b[2J.pdf").write_text("")
    out = tmp_path / "out.jsonl"

    ended = CliRunner().invoke(
        command, [str(tmp_path), "--task=answer", "--question=Q", "--budget=1", f"--out={out}"],
        color=True,
    )  # fmt: skip

    assert "?[2J.txt: is empty" in ended.stderr
    assert "?[2J.pdf" in ended.stdout
    assert "\x1b[2J" not in ended.output


def test_when_none_can_be_taken_it_is_an_error(add: Any, tmp_path: Path) -> None:
    with pytest.raises(BadDocuments, match="there is no text file in"):
        add(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(BadDocuments, match=r"empty\.txt: is empty"):
        add(tmp_path)


def test_a_run_ends_badly_when_a_document_could_not_be_taken(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    (tmp_path / "good.txt").write_text(TEXT)
    (tmp_path / "empty.txt").write_text("")
    out = tmp_path / "out.jsonl"

    ended = CliRunner().invoke(
        command, [str(tmp_path), "--task=answer", "--question=When?", "--budget=1", f"--out={out}"]
    )

    assert "empty.txt: is empty" in ended.stderr
    assert "1 wait, 0 failed, 1 not taken" in str(ended.exception)
