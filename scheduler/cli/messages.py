"""Documents of a run become jobs: one message each, as any client would send it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from scheduler.cli.context import Service
from scheduler.cli.intaking import reader_of
from scheduler.domain.errors import Refused
from scheduler.domain.job import Task
from scheduler.intake.ingest import ScopeBook, store_chunk
from scheduler.settings import Settings
from scheduler.store.scopes import Scope

CHUNK_DOCUMENTS = 500
SUFFIXES = frozenset({".txt", ".md", ".markdown", ".rst", ".html", ".htm", ".xml", ".csv", ".json"})
"""What is taken from a directory; a file that is named itself may be called anything."""


class BadDocuments(Refused):
    """Documents that cannot be taken; the message names the first few and why."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        super().__init__(f"{'; '.join(problems[:3])}{more}")
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be done with every document."""

    task: Task
    question: str | None = None
    labels: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    words: int | None = None
    min_quality: float = 0.0
    residency: tuple[str, ...] = ()
    gain_usd: str | None = None
    loss_usd: str | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of a message that say so; those that say nothing left out."""
        fields = {
            "task": str(self.task),
            "question": self.question,
            "labels": list(self.labels),
            "schema": self.json_schema,
            "words": self.words,
            "min_quality": self.min_quality,
            "residency": list(self.residency),
            "gain_usd": self.gain_usd,
            "loss_usd": self.loss_usd,
        }
        return {name: value for name, value in fields.items() if value}


def add_documents(
    service: Service, settings: Settings, project: Scope, documents: Sequence[Path], ask: Ask
) -> int:
    """Queue a job for each document that has none in *project* yet; how many there are.

    Raises:
        BadDocuments: some cannot be taken; nothing is queued.
    """
    reader, book = reader_of(settings), ScopeBook()
    problems, count = [], 0
    found = iter(text_files(documents))
    with service.engine.begin() as conn:
        while files := list(islice(found, CHUNK_DOCUMENTS)):
            messages = [_message(file, project, ask) for file in files]
            stored = store_chunk(conn, reader.read(messages), scopes=book, source="run")
            problems += [f"{files[one.at]}: {one.reason}" for one in stored.refused]
            count += len(files)
        if problems:
            raise BadDocuments(problems)
    if not count:
        raise BadDocuments([f"there is no text file in {', '.join(map(str, documents))}"])
    return count


def text_files(documents: Sequence[Path]) -> Iterator[Path]:
    """The files among *documents*, and the text files in those that are directories."""
    for place in documents:
        if place.is_file():
            yield place
        else:
            yield from sorted(
                file
                for file in place.rglob("*")
                if file.suffix.lower() in SUFFIXES
                and not any(part.startswith(".") for part in file.relative_to(place).parts)
            )


def _message(file: Path, project: Scope, ask: Ask) -> bytes:
    text = file.read_bytes().decode("utf-8", "replace")
    # Ids are unique for an organisation, and another run may have the same document.
    said = {"job_id": f"{project.path.rpartition('/')[2]}:{file}", "scope": project.path}
    return json.dumps(said | {"text": text} | ask.fields()).encode()
