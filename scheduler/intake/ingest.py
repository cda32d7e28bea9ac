"""Stores chunks of jobs: their scopes looked up, their documents and themselves added in bulk."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from scheduler.intake.chunk import Chunk, Refusal
from scheduler.intake.reasons import reason_of
from scheduler.store.documents import Document, add_documents
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


def store_chunk(conn: Connection, chunk: Chunk, *, scopes: ScopeBook, source: str) -> Stored:
    """Add the chunk's jobs and documents, in the caller's transaction.

    A job whose id is known with the same content is left as it is; with other content it is
    refused.  Whatever Postgres finds fault with is refused too, and the rest is stored.
    """
    projects = scopes.projects(conn, {job.scope for job in chunk.jobs})
    refused = list(chunk.refused)
    jobs = _distinct(_placed(chunk.jobs, projects, refused), projects, refused)
    added, late = _add(conn, jobs, chunk.documents, projects, source)
    refused += late
    known = len(chunk.jobs) + len(chunk.refused) - len(refused) - added
    return Stored(added=added, known=known, refused=sorted(refused, key=lambda one: one.at))


def _placed(
    jobs: Iterable[IncomingJob], projects: dict[str, Scope], refused: list[Refusal]
) -> Iterable[IncomingJob]:
    for job in jobs:
        if job.scope in projects:
            yield job
        else:
            refused.append(Refusal(at=job.at, reason=_no_project(job.scope), job_id=job.key))


def _no_project(path: str) -> str:
    if path.count("/") != len(KINDS) - 1:
        return f"scope {path!r} is no project; write organisation/team/project"
    return (
        f"scope {path!r} is not known; make it with"
        f" `apportion budget set {path} --limit USD`, and send the job again"
    )


def _distinct(
    jobs: Iterable[IncomingJob], projects: dict[str, Scope], refused: list[Refusal]
) -> list[IncomingJob]:
    """*jobs*, each id once for its tenant: the first counts."""
    first: dict[tuple[int, str], IncomingJob] = {}
    for job in jobs:
        known = first.setdefault((projects[job.scope].tenant_id, job.key), job)
        if known.digest != job.digest:
            refused.append(Refusal(at=job.at, reason=OTHER_CONTENT, job_id=job.key))
    return list(first.values())


def _add(
    conn: Connection,
    jobs: Sequence[IncomingJob],
    documents: dict[bytes, Document],
    projects: dict[str, Scope],
    source: str,
) -> tuple[int, list[Refusal]]:
    if not jobs:
        return 0, []
    try:
        with conn.begin_nested():
            used = {(projects[job.scope].tenant_id, job.document) for job in jobs}
            ids = add_documents(conn, {key: documents[key[1]] for key in used})
            added, others = add_jobs(conn, jobs, projects=projects, documents=ids, source=source)
    except (DataError, IntegrityError) as error:
        return _add_halves(conn, jobs, documents, projects, source, error)
    if not others:
        return added, []
    keys = {job.at: job.key for job in jobs}
    return added, [Refusal(at=at, reason=OTHER_CONTENT, job_id=keys[at]) for at in others]


def _add_halves(
    conn: Connection,
    jobs: Sequence[IncomingJob],
    documents: dict[bytes, Document],
    projects: dict[str, Scope],
    source: str,
    error: DataError | IntegrityError,
) -> tuple[int, list[Refusal]]:
    """The same in two parts, until what Postgres finds fault with is alone."""
    if len(jobs) == 1:
        # The first line alone: those below repeat the row, and the document with it.
        reason = reason_of(Exception(f"the database refuses it: {first_line(error)}"))
        return 0, [Refusal(at=jobs[0].at, reason=reason, job_id=jobs[0].key)]
    middle = len(jobs) // 2
    added, refused = _add(conn, jobs[:middle], documents, projects, source)
    more, others = _add(conn, jobs[middle:], documents, projects, source)
    return added + more, refused + others
