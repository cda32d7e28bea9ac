"""What `apportion run` makes of the documents it is given, odd ones among them."""

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from scheduler.cli.context import open_service
from scheduler.cli.messages import Ask, BadDocuments, Taken, add_documents
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
