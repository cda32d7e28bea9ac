"""Stores chunks of jobs: their scopes looked up, their documents and themselves added in bulk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from scheduler.intake.chunk import Chunk, Refusal
from scheduler.intake.reasons import reason_of
from scheduler.store.documents import Document, Key, add_documents
from scheduler.store.jobs_in import IncomingJob, add_jobs
from scheduler.store.passing import first_line
from scheduler.store.scopes import Scope, list_scopes
from scheduler.store.tables.scopes import KINDS

OTHER_CONTENT = (
    "a job with this id is known with other content; send a correction under a new job_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a chunk: jobs that are new, jobs that were known, and messages refused."""

    added: int
    known: int
    refused: list[Refusal]


@dataclass(slots=True)
class ScopeBook:
    """The scopes by path, read again when one is asked for that is not among them."""

    _known: dict[str, Scope] = field(default_factory=dict)

    def projects(self, conn: Connection, paths: set[str]) -> dict[str, Scope]:
        """Those of *paths* that are projects."""
        if not paths <= self._known.keys():
            self._known = list_scopes(conn)
        found = {path: self._known[path] for path in paths if path in self._known}
        return {path: scope for path, scope in found.items() if scope.kind == "project"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A chunk's jobs whose project is known, each id once for its tenant.

    Attributes:
        refused: the other messages of the chunk.
        documents: the ids of those documents that are stored already.
    """

    jobs: list[IncomingJob]
    projects: dict[str, Scope]
    refused: list[Refusal]
    documents: Mapping[Key, int] = field(default_factory=dict)

    def keys(self, jobs: Iterable[IncomingJob]) -> set[Key]:
        """The documents of *jobs*."""
        return {(self.projects[job.scope].tenant_id, job.document) for job in jobs}


def store_documents(conn: Connection, chunk: Chunk, *, scopes: ScopeBook) -> Placed:
    """Add the documents of the chunk's jobs, in the caller's transaction.

    A document without a job has no effect; it is found when its job comes again.
    """
    placed = _placed(conn, chunk, scopes)
    used = {key: chunk.documents[key[1]] for key in placed.keys(placed.jobs)}
    return replace(placed, documents=add_documents(conn, used))


def store_chunk(
    conn: Connection,
    chunk: Chunk,
    *,
    scopes: ScopeBook,
    source: str,
    placed: Placed | None = None,
) -> Stored:
    """Add the chunk's jobs and documents, in the caller's transaction.

    A job whose id is known with the same content is left as it is; with other content it is
    refused.  Whatever Postgres finds fault with is refused too, and the rest is stored.
    *placed* is what `store_documents` gave, where that is committed.
    """
    placed = placed or _placed(conn, chunk, scopes)
    adding = _Adding(conn=conn, texts=chunk.documents, placed=placed, source=source)
    added, late = adding.add(placed.jobs)
    refused = placed.refused + late
    known = len(chunk.jobs) + len(chunk.refused) - len(refused) - added
    return Stored(added=added, known=known, refused=sorted(refused, key=lambda one: one.at))


def _placed(conn: Connection, chunk: Chunk, scopes: ScopeBook) -> Placed:
    projects = scopes.projects(conn, {job.scope for job in chunk.jobs})
    refused = list(chunk.refused)
    first: dict[tuple[int, str], IncomingJob] = {}
    for job in chunk.jobs:
        if job.scope not in projects:
            refused.append(Refusal(at=job.at, reason=_no_project(job.scope), job_id=job.key))
            continue
        known = first.setdefault((projects[job.scope].tenant_id, job.key), job)
        if known.digest != job.digest:
            refused.append(Refusal(at=job.at, reason=OTHER_CONTENT, job_id=job.key))
    return Placed(jobs=list(first.values()), projects=projects, refused=refused)


def _no_project(path: str) -> str:
    if path.count("/") != len(KINDS) - 1:
        return f"scope {path!r} is no project; write organisation/team/project"
    return (
        f"scope {path!r} is not known; make it with"
        f" `apportion budget set {path} --limit USD`, and send the job again"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adding:
    """Adds jobs; *texts* are their documents."""

    conn: Connection
    texts: Mapping[bytes, Document]
    placed: Placed
    source: str

    def add(self, jobs: Sequence[IncomingJob]) -> tuple[int, list[Refusal]]:
        """Add *jobs*; how many are new, and which are refused."""
        if not jobs:
            return 0, []
        try:
            with self.conn.begin_nested():
                added, others = add_jobs(
                    self.conn,
                    jobs,
                    projects=self.placed.projects,
                    documents=self._documents(jobs),
                    source=self.source,
                )
        except (DataError, IntegrityError) as error:
            return self._add_halves(jobs, error)
        if not others:
            return added, []
        keys = {job.at: job.key for job in jobs}
        return added, [Refusal(at=at, reason=OTHER_CONTENT, job_id=keys[at]) for at in others]

    def _documents(self, jobs: Sequence[IncomingJob]) -> Mapping[Key, int]:
        used = self.placed.keys(jobs)
        if used <= self.placed.documents.keys():
            return self.placed.documents
        return add_documents(self.conn, {key: self.texts[key[1]] for key in used})

    def _add_halves(
        self, jobs: Sequence[IncomingJob], error: DataError | IntegrityError
    ) -> tuple[int, list[Refusal]]:
        """The same in two parts, until what Postgres finds fault with is alone."""
        if len(jobs) == 1:
            # The first line alone: those below repeat the row, and the document with it.
            reason = reason_of(Exception(f"the database refuses it: {first_line(error)}"))
            return 0, [Refusal(at=jobs[0].at, reason=reason, job_id=jobs[0].key)]
        middle = len(jobs) // 2
        added, refused = self.add(jobs[:middle])
        more, others = self.add(jobs[middle:])
        return added + more, refused + others
