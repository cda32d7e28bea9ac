"""A chunk of messages becomes columns; what cannot is turned away, each with its reason."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from scheduler.domain.errors import Refused
from scheduler.domain.policy import IntakePolicy
from scheduler.estimate.bytescan import CLASSES, WORDS
from scheduler.estimate.features import Joined, as_stored
from scheduler.intake.files import Roots
from scheduler.intake.reasons import reason_of
from scheduler.intake.sensitive import found_classes
from scheduler.intake.unwrap import Headers, unwrap
from scheduler.intake.wire import JobMessage
from scheduler.store.documents import Document
from scheduler.store.jobs_in import IncomingJob

DIGEST_FORMAT = 1
DESCRIBED_AT_ONCE = 500
"""Documents that are described together, while the next ones are read."""
_spelt = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode
Described = tuple[NDArray[np.float16], NDArray[np.int32]]
_validate = JobMessage.__pydantic_validator__.validate_json


class TooLong(Refused):
    """A message or its text is longer than the policy allows."""

    def __init__(self, *, what: str, length: int, limit: int) -> None:
        super().__init__(
            f"the {what} has {length} bytes, and {limit} are allowed; split the document,"
            " or put it under a root and send its path"
        )
        self.what = what
        self.length = length
        self.limit = limit


class HasNul(Refused):
    """Postgres's texts, and so ours, cannot hold the character NUL."""

    def __init__(self) -> None:
        super().__init__("it has the character NUL (\\u0000); take it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A message that was turned away: its place in the chunk, and why."""

    at: int
    reason: str
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What a number of messages say, ready to be stored.

    Attributes:
        jobs: those that are well-formed, in the order they came.
        documents: by digest, each once, with all that is computed from its text.
        refused: the others.
    """

    jobs: list[IncomingJob] = field(default_factory=list)
    documents: dict[bytes, Document] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Turns messages into chunks.

    Attributes:
        policy: limits, and what a message need not say.
        roots: where a message's `path` may lie.
    """

    policy: IntakePolicy
    roots: Roots
    beside: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "intake-describer"))

    def read(
        self, values: Sequence[bytes | None], headers: Sequence[Headers] | None = None
    ) -> Chunk:
        """The chunk that *values* (JSON, UTF-8) make, with their Kafka *headers* if they have any.

        It refuses, and never raises, what a client can get wrong.
        """
        chunk = Chunk()
        texts = _Texts(beside=self.beside)
        for index, value in enumerate(values):
            try:
                job, text, path = self._job(index, value, headers[index] if headers else ())
            except (Refused, ValueError) as error:
                chunk.refused.append(
                    Refusal(at=index, reason=reason_of(error), job_id=job_id_of(value))
                )
            else:
                chunk.jobs.append(job)
                texts.add(job.document, text, path)
        chunk.documents.update(texts.documents())
        return chunk

    def _job(
        self, index: int, value: bytes | None, headers: Headers
    ) -> tuple[IncomingJob, str, str | None]:
        """The job, its document's text, and the text's path where it was read from a file."""
        if value is None:
            raise Refused("the message has no value; send a JSON object")
        if len(value) > self.policy.message_bytes_max:
            limit = self.policy.message_bytes_max
            raise TooLong(what="message", length=len(value), limit=limit)
        data = unwrap(value, headers) if headers else value
        try:
            message = _validate(data)
        except ValidationError:
            # Without a header to say so it may still be an envelope; looked at only in trouble.
            if (inner := unwrap(data, (), guess=True)) == data:
                raise
            data, message = inner, _validate(inner)
        # Nearly no message has one, and to look for the escape in its bytes costs nothing.
        if b"\\u0000" in data and has_nul(vars(message)):
            raise HasNul
        text, path = self._document(message)
        encoded = text.encode()
        if path is None and len(encoded) > self.policy.text_bytes_max:
            raise TooLong(what="text", length=len(encoded), limit=self.policy.text_bytes_max)
        return self._incoming(index, message, hashlib.sha256(encoded).digest()), text, path

    def _document(self, message: JobMessage) -> tuple[str, str | None]:
        if message.text is not None:
            return message.text, None
        assert message.path is not None
        text, file = self.roots.read(message.path)
        return text, str(file)

    def _incoming(self, index: int, message: JobMessage, document: bytes) -> IncomingJob:
        given = message.params()
        params, tags = (
            _spelt(given) if given else "{}",
            _spelt(message.tags) if message.tags else "{}",
        )
        quality = message.min_quality or 0.0
        # Rounded up, and 0.7 * 1e6 is not quite 700000.
        min_quality_ppm = math.ceil(round(quality * 1e6, 3))
        asked: tuple[Any, ...] = (
            DIGEST_FORMAT,
            message.scope,
            message.task,
            params,
            tags,
            message.priority,
            message.deadline and message.deadline.timestamp(),
            min_quality_ppm,
            message.max_cost_usd,
            tuple(sorted(message.residency)) if message.residency else None,
            message.data_class,
            message.when,
        )
        if message.gain_usd is not None or message.loss_usd is not None:
            # Behind the others, and only if said: a job keeps the digest that it always had.
            asked = (*asked, message.gain_usd, message.loss_usd)
        policy = self.policy
        return IncomingJob(
            index,
            message.scope or policy.default_scope,
            message.job_id,
            # What was said, not what the policy made of it: that may change, the job does not.
            hashlib.sha256(_asked_bytes(asked) + document).digest(),
            document,
            message.task,
            params,
            tags,
            policy.default_priority if message.priority is None else message.priority,
            message.deadline,
            min_quality_ppm,
            message.max_cost_usd,
            message.residency or (),
            message.data_class or policy.default_data_class,
            message.when or "now",
            message.gain_usd,
            message.loss_usd,
        )


@lru_cache(maxsize=1_024)
def _asked_bytes(asked: tuple[Any, ...]) -> bytes:
    """What is digested of a job beside its document; most jobs ask for what others asked for.

    Each place holds values of one type alone, so that no two that are equal are spelt otherwise.
    """
    return _spelt(asked).encode()


Text = tuple[bytes, str, str | None]
"""A text's digest, itself, and its path where it was read from a file."""


@dataclass(slots=True, kw_only=True)
class _Texts:
    """Distinct texts, described on a thread *beside* the one that reads them.

    That is compiled and hardly needs the interpreter, so that both threads run.
    """

    beside: Executor
    seen: set[bytes] = field(default_factory=set)
    waiting: list[Text] = field(default_factory=list)
    begun: "list[tuple[list[Text], Future[Described]]]" = field(default_factory=list)

    def add(self, digest: bytes, text: str, path: str | None) -> None:
        """Take in *text*, unless it is here already."""
        if digest in self.seen:
            return
        self.seen.add(digest)
        self.waiting.append((digest, text, path))
        if len(self.waiting) == DESCRIBED_AT_ONCE:
            self._describe()

    def documents(self) -> dict[bytes, Document]:
        """All of them, by digest."""
        if self.waiting:
            self._describe()
        return {
            one.digest: one
            for texts, described in self.begun
            for one in _documents(texts, *described.result())
        }

    def _describe(self) -> None:
        joined = Joined.of([text for _, text, _ in self.waiting])
        self.begun.append((self.waiting, self.beside.submit(_described, joined)))
        self.waiting = []


def _described(joined: Joined) -> Described:
    features, stats = joined.described()
    return as_stored(features), stats


def _documents(
    texts: Sequence[Text], features: NDArray[np.float16], stats: NDArray[np.int32]
) -> Iterator[Document]:
    """The *texts* with all that was computed from them, in columns."""
    columns = zip(
        texts,
        stats[:, :CLASSES].sum(1).tolist(),
        stats[:, WORDS].tolist(),
        found_classes([text for _, text, _ in texts], stats),
        _rows(features),
        _rows(stats.astype("<i4", copy=False)),
        strict=True,
    )
    for (digest, text, path), length, words, *computed in columns:
        yield Document(digest, length, words, text if path is None else None, path, *computed)


def _rows(table: Any) -> list[bytes]:
    """Each row of the (n, k) array as bytes."""
    whole, width = table.tobytes(), table.shape[1] * table.itemsize
    return [whole[start : start + width] for start in range(0, len(whole), width)]


def job_id_of(value: bytes | None) -> str | None:
    """The job id in a message that was turned away, if it can be told."""
    try:
        message = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    job_id = message.get("job_id") if isinstance(message, dict) else None
    if not isinstance(job_id, str):
        return None
    # It may be why the message was refused: half a surrogate pair is no text to Postgres or Kafka.
    return job_id[:200].replace("\0", "").encode(errors="replace").decode()


def has_nul(value: Any) -> bool:
    """Whether the character NUL is in a text or a name anywhere in *value*."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return any(map(has_nul, value))
    return False
