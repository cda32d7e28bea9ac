"""Documents of a run become jobs: one message each, as any client would send it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.cli.context import Service
from scheduler.domain.errors import Refused
from scheduler.domain.job import Task
from scheduler.intake.files import files_below
from scheduler.intake.ingest import ScopeBook, store_chunk
from scheduler.intake.submission import chunks, file_entry, short_id, submission_reader
from scheduler.settings import Settings
from scheduler.store.scopes import Scope

SUFFIXES = frozenset({".txt", ".md", ".markdown", ".rst", ".html", ".htm", ".xml", ".csv", ".json"})
"""What is taken from a directory; a file that is named itself may be called anything."""


class BadDocuments(Refused):
    """Documents that cannot be taken; the message names the first few and why."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        super().__init__(f"{'; '.join(problems[:3])}{more}")
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of the documents of a run.

    Attributes:
        count: those that have a job, now or from before.
        problems: the others, and why they have none.
        left_out: files of directories that are no texts, by their names.
        names: the documents' paths, by the ids of their jobs.
    """

    count: int
    problems: Sequence[str]
    left_out: Sequence[Path]
    names: Mapping[str, str]


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
) -> Taken:
    """Queue a job for each document that has none in *project* yet.

    Raises:
        BadDocuments: none can be taken; nothing is queued.
    """
    policy = settings.policies.intake
    reader, book = submission_reader(policy), ScopeBook()
    files, left_out, closed = texts_and_others(documents)
    problems, count = closed, 0
    names = {_job_id(file, project): file for file in files}
    found = (
        file_entry(
            file,
            job_id=job_id,
            fields={"scope": project.path} | ask.fields(),
            bytes_max=policy.file_bytes_max,
        )
        for job_id, file in names.items()
    )
    with service.engine.begin() as conn:
        for chunk in chunks(found):
            sent = [one for one in chunk if one.message is not None]
            messages = [one.message for one in sent if one.message is not None]
            stored = store_chunk(conn, reader.read(messages), scopes=book, source="run")
            problems += [f"{one.where}: {one.refused}" for one in chunk if one.refused]
            problems += [f"{sent[one.at].where}: {one.reason}" for one in stored.refused]
            count += len(messages) - len(stored.refused)
        if not count:
            nothing = f"there is no text file in {', '.join(map(str, documents))}"
            raise BadDocuments(problems or [nothing])
    shown = {job_id: _shown(file) for job_id, file in names.items()}
    return Taken(count=count, problems=problems, left_out=left_out, names=shown)


def texts_and_others(
    documents: Sequence[Path],
) -> tuple[list[Path], list[Path], list[str]]:
    """The files among *documents* with the texts in their directories; those of no text; and
    why directories cannot be read."""
    texts: list[Path] = []
    others: list[Path] = []
    closed: list[str] = []
    for place in documents:
        if not place.is_dir():
            texts.append(place)
            continue
        files, bad = files_below(place)
        closed += [f"{one.path}: {one.reason}" for one in bad]
        for file in files:
            (texts if file.suffix.lower() in SUFFIXES else others).append(file)
    return texts, others, closed


def _job_id(file: Path, project: Scope) -> str:
    # Ids are unique for an organisation, and another run may have the same document.
    return short_id(f"{project.path.rpartition('/')[2]}:{file}")


def _shown(file: Path) -> str:
    """The path as text; what of it is none, as `\\udcff`."""
    return str(file).encode(errors="backslashreplace").decode()
