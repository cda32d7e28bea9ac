"""The queue as the planner reads it: in columns, a whole window at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from scheduler.domain.job import DataClass, Task, When
from scheduler.estimate.features import FEATURES, TOKEN_STATS
from scheduler.store.bulk import driver
from scheduler.store.embeddings import NO_VECTORS, Vectors

TASKS = tuple(Task)
DATA_CLASSES = tuple(DataClass)
"""Least sensitive first; both are what a window's codes count."""

NO_DEADLINE = np.iinfo(np.int64).max
NO_MAX_COST = np.iinfo(np.int64).max
UNSAID = -1
"""Gain or loss of a job whose message says none."""

# What a binary COPY sends for a row: a count of fields, then for each its length and itself.
# All fields have one width, none is NULL, and so the whole answer is one array of records.
_FIELDS: tuple[tuple[str, str, str], ...] = (
    ("job_id", ">i8", "job.id"),
    ("version", ">i8", "job.xmin::text::bigint"),
    ("tenant_id", ">i4", "job.tenant_id"),
    ("project_id", ">i4", "job.project_id"),
    ("task", ">i4", "array_position(CAST(%(tasks)s AS text[]), job.task) - 1"),
    ("priority", ">i4", "job.priority::int"),
    ("due_us", ">i8", "coalesce((extract(epoch FROM deadline) * 1000000)::bigint, %(endless)s)"),
    ("min_quality_ppm", ">i4", "job.min_quality_ppm"),
    ("max_cost_nusd", ">i8", "coalesce(job.max_cost_nusd, %(endless)s)"),
    ("gain_nusd", ">i8", "coalesce(job.gain_nusd, %(unsaid)s)"),
    ("loss_nusd", ">i8", "coalesce(job.loss_nusd, %(unsaid)s)"),
    (
        "place",
        ">i4",
        "coalesce(array_position(CAST(%(places)s AS text[]),"
        " array_to_string(job.residency, chr(31))), 0)",
    ),
    (
        "data_class",
        ">i4",
        "greatest(array_position(CAST(%(classes)s AS text[]), job.data_class),"
        " array_position(CAST(%(classes)s AS text[]), document.found_class)) - 1",
    ),
    ("night", ">i4", "(job.run_when = 'night')::int"),
    ("deferrals", ">i4", "job.deferrals::int"),
    ("used_nusd", ">i8", "job.spent_nusd + job.reserved_nusd"),
    ("params_bytes", ">i4", "octet_length(job.params::text)"),
    (
        "judged_offer",
        ">i4",
        "CASE WHEN job.task = 'judge' THEN (job.params -> 'judged' ->> 'offer')::int ELSE 0 END",
    ),
    ("words", ">i4", "coalesce((job.params ->> 'words')::int, 0)"),
)
_Wide = tuple[str, str, int, str]
_COLUMNS: tuple[_Wide, ...] = (
    ("features", "<f2", FEATURES, "document.features"),
    ("token_stats", "<i4", TOKEN_STATS, "document.token_stats"),
)
_KINDS: dict[str, Any] = (
    {name: np.int64 for name, _, _ in _FIELDS}
    | {"night": np.bool_}
    | {name: np.dtype(kind).newbyteorder("=") for name, kind, _, _ in _COLUMNS}
)
_VECTORS = (
    " LEFT JOIN embedding ON embedding.document_id = document.id AND embedding.model = %(model)s"
)
_HEADER_BYTES, _TRAILER_BYTES = 19, 2
_PART_BYTES = 64 << 20
_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """n jobs of the queue, in columns.

    Attributes:
        job_id: (n,) int64.
        version: (n,) int64, what the row's version was when it was read.
        tenant_id, project_id: (n,) int64.
        task: (n,) int64, index into `TASKS`.
        priority: (n,) int64, 1 to 9.
        due_us: (n,) int64, the deadline in microseconds since 1970, or `NO_DEADLINE`.
        min_quality_ppm: (n,) int64.
        max_cost_nusd: (n,) int64, or `NO_MAX_COST`.
        gain_nusd, loss_nusd: (n,) int64, of a good and of a bad answer, or `UNSAID`.
        place: (n,) int64, index into *places*; 0 where the job may go anywhere.
        data_class: (n,) int64, index into `DATA_CLASSES`: the stricter of what the client
            said and what was found in the document.
        night: (n,) bool, whether it is a job for the night.
        deferrals: (n,) int64, how often it was deferred.
        used_nusd: (n,) int64, spent on it, or kept for attempts whose outcome is unknown.
        params_bytes: (n,) int64, the length of what the task has beside the document.
        judged_offer: (n,) int64, of a judging, the id of the offer whose answer is judged and
            that may not do it; else 0.
        words: (n,) int64, how long the answer is to be; 0 where the client did not say.
        features: (n, FEATURES) float16; zeros where the document's are of another version.
        token_stats: (n, TOKEN_STATS) int32; likewise.
        embedded: (n, w) float16, the vectors of *model*; zeros where a document has none.
        model: the embedding model's name; empty, and w is 0, where there is none.
        places: the residencies that occur, each a tuple of regions; the first is empty.
    """

    job_id: NDArray[np.int64]
    version: NDArray[np.int64]
    tenant_id: NDArray[np.int64]
    project_id: NDArray[np.int64]
    task: NDArray[np.int64]
    priority: NDArray[np.int64]
    due_us: NDArray[np.int64]
    min_quality_ppm: NDArray[np.int64]
    max_cost_nusd: NDArray[np.int64]
    gain_nusd: NDArray[np.int64]
    loss_nusd: NDArray[np.int64]
    place: NDArray[np.int64]
    data_class: NDArray[np.int64]
    night: NDArray[np.bool_]
    deferrals: NDArray[np.int64]
    used_nusd: NDArray[np.int64]
    params_bytes: NDArray[np.int64]
    judged_offer: NDArray[np.int64]
    words: NDArray[np.int64]
    features: NDArray[np.float16]
    token_stats: NDArray[np.int32]
    embedded: NDArray[np.float16]
    model: str
    places: tuple[tuple[str, ...], ...]

    @property
    def jobs(self) -> int:
        """n."""
        return len(self.job_id)

    def part(self, jobs: slice) -> "Window":
        """The *jobs* alone."""
        columns = (one.name for one in fields(self) if one.name not in ("places", "model"))
        return replace(self, **{name: getattr(self, name)[jobs] for name in columns})


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """How many jobs could be planned now, and since when the first of them waits."""

    jobs: int
    oldest: datetime | None


# One branch per kind of job: within it the index has the order, and stops at the limit.
_SELECTION = """
    SELECT id, residency FROM (
        {branches}
    ) AS due ORDER BY not_before, id LIMIT %(limit)s
"""
_BRANCH = """
        (SELECT id, residency, not_before FROM job
         WHERE state = 'queued' AND run_when = '{when}' AND not_before <= %({when}_before)s
         ORDER BY not_before, id LIMIT %(limit)s)
"""

_DUE = text("""
    SELECT count(*) AS jobs, min(not_before) AS oldest FROM (
        SELECT not_before FROM job
        WHERE state = 'queued' AND run_when = :run_when AND not_before <= :before
        ORDER BY not_before, id LIMIT :limit
    ) AS due
""")


def due_jobs(conn: Connection, *, when: When, before: datetime, limit: int) -> Due:
    """Jobs of one kind that have waited since *before*; no more than *limit* are counted."""
    found = conn.execute(_DUE, {"run_when": when, "before": before, "limit": limit}).one()
    return Due(jobs=found.jobs, oldest=found.oldest)


def read_window(
    conn: Connection,
    *,
    before: dict[When, datetime],
    limit: int,
    vectors: Vectors = NO_VECTORS,
) -> Window:
    """Up to *limit* queued jobs, those that wait longest first, in the order of their ids.

    Of each kind in *before* come the jobs that may be planned since that time.  Called in a
    transaction that sees one instant (`snapshot`), with all else that the plan goes by.
    """
    assert before, "a window of no kind of jobs"
    values: dict[str, Any] = {f"{when}_before": at for when, at in before.items()}
    values |= {"limit": limit, "endless": NO_DEADLINE, "unsaid": UNSAID}
    values |= {"tasks": list(TASKS), "classes": list(DATA_CLASSES)}
    selection = _selection(list(before))
    places = _places(conn, selection, values)
    values["model"] = vectors.model
    values["places"] = [_SEPARATOR.join(one) for one in places[1:]]
    # Turned part by part: a million records beside their columns would be twice the memory.
    kinds = _KINDS | ({"embedded": np.float16} if vectors.width else {})
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in kinds}
    for record in _records(conn, selection, values, _columns(vectors)):
        for name, kind in kinds.items():
            parts[name].append(record[name].astype(kind))
    columns = {name: np.concatenate(parts.pop(name)) for name in kinds}
    columns.setdefault("embedded", np.zeros((len(columns["job_id"]), 0), np.float16))
    return Window(**columns, model=vectors.model, places=places)


def _columns(vectors: Vectors) -> tuple[_Wide, ...]:
    """The wide columns: those of the document, and *vectors* where there are any."""
    if not vectors.width:
        return _COLUMNS
    return (*_COLUMNS, ("embedded", "<f2", vectors.width, "embedding.vector"))


def _selection(kinds: Sequence[When]) -> str:
    branches = " UNION ALL ".join(_BRANCH.format(when=str(when)) for when in kinds)
    return _SELECTION.format(branches=branches)


def _places(
    conn: Connection, selection: str, values: dict[str, Any]
) -> tuple[tuple[str, ...], ...]:
    found = driver(conn).execute(
        f"SELECT DISTINCT residency FROM ({selection}) AS due"  # noqa: S608 - no value in it
        " WHERE residency <> '{}' ORDER BY residency",
        values,
    )
    return ((), *(tuple(row[0]) for row in found))


def _records(
    conn: Connection, selection: str, values: dict[str, Any], columns: tuple[_Wide, ...]
) -> Iterator[NDArray[np.void]]:
    fields = [source for _, _, source in _FIELDS]
    for _, kind, width, source in columns:
        size = width * np.dtype(kind).itemsize
        # Of another version of the program: the estimates then know nothing of the document.
        fields.append(
            f"CASE octet_length({source}) WHEN {size} THEN {source}"
            f" ELSE decode(repeat('00', {size}), 'hex') END"
        )
    vectors = _VECTORS if columns is not _COLUMNS else ""
    query = (
        f"COPY (SELECT {', '.join(fields)} FROM ({selection}) AS due"  # noqa: S608 - likewise
        f" JOIN job ON job.id = due.id JOIN document ON document.id = job.document_id{vectors}"
        " ORDER BY job.id) TO STDOUT (FORMAT binary)"
    )
    record = _record(columns)
    waiting, skip = bytearray(), _HEADER_BYTES
    with driver(conn).cursor().copy(query, values) as copy:
        for block in copy:
            waiting += block
            if len(waiting) >= _PART_BYTES:
                whole = (len(waiting) - skip) // record.itemsize
                yield np.frombuffer(bytes(waiting), record, offset=skip, count=whole)
                del waiting[: skip + whole * record.itemsize]
                skip = 0
    whole, rest = divmod(len(waiting) - skip, record.itemsize)
    assert rest == _TRAILER_BYTES, rest
    yield np.frombuffer(bytes(waiting), record, offset=skip, count=whole)


def _record(columns: tuple[_Wide, ...]) -> np.dtype[np.void]:
    parts: list[Any] = [("fields", ">i2")]
    for name, kind, _ in _FIELDS:
        parts += [(f"{name}_bytes", ">i4"), (name, kind)]
    for name, kind, width, _ in columns:
        parts += [(f"{name}_bytes", ">i4"), (name, kind, (width,))]
    return np.dtype(parts)
