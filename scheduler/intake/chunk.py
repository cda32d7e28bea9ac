"""A chunk of messages becomes columns; what cannot is turned away, each with its reason."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from scheduler.domain.errors import Refused
from scheduler.domain.policy import IntakePolicy
from scheduler.estimate.bytescan import WORDS
from scheduler.estimate.features import described
from scheduler.intake.files import Roots
from scheduler.intake.reasons import reason_of
from scheduler.intake.sensitive import found_classes
from scheduler.intake.unwrap import Headers, unwrap
from scheduler.intake.wire import JobMessage
from scheduler.store.documents import Document
from scheduler.store.jobs_in import IncomingJob

DIGEST_FORMAT = 1
_spelt = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode
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

    def read(
        self, values: Sequence[bytes | None], headers: Sequence[Headers] | None = None
    ) -> Chunk:
        """The chunk that *values* (JSON, UTF-8) make, with their Kafka *headers* if they have any.

        It refuses, and never raises, what a client can get wrong.
        """
        chunk = Chunk()
        texts: dict[bytes, tuple[str, str | None]] = {}
        for index, value in enumerate(values):
            try:
                job, text, path = self._job(index, value, headers[index] if headers else ())
            except (Refused, ValueError) as error:
                chunk.refused.append(
                    Refusal(at=index, reason=reason_of(error), job_id=job_id_of(value))
                )
            else:
                chunk.jobs.append(job)
                texts.setdefault(job.document, (text, path))
        chunk.documents.update(_documents(texts))
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
        if b"\\u0000" in data and _has_nul(message.model_dump()):
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


def _documents(texts: dict[bytes, tuple[str, str | None]]) -> dict[bytes, Document]:
    """All that is computed from the *texts* (by digest), in columns."""
    plain = [text for text, _ in texts.values()]
    if not plain:
        return {}
    features, stats = described(plain)
    classes = found_classes(plain, stats)
    words = stats[:, WORDS].tolist()
    feature_bytes, stat_bytes = _rows(features.astype("<f2")), _rows(stats.astype("<i4"))
    return {
        digest: Document(
            digest,
            len(text.encode()),
            words[at],
            text if path is None else None,
            path,
            classes[at],
            feature_bytes[at],
            stat_bytes[at],
        )
        for at, (digest, (text, path)) in enumerate(texts.items())
    }


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
    return job_id[:200].replace("\0", "") if isinstance(job_id, str) else None


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return any(map(_has_nul, value))
    return False
