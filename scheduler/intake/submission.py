"""Jobs from files, directories and lines, put straight into the database or into Kafka."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from sqlalchemy import Connection

from scheduler.domain.errors import Unavailable
from scheduler.domain.policy import IntakePolicy
from scheduler.intake.chunk import Reader, Refusal
from scheduler.intake.files import BadPath, Roots, text_of
from scheduler.intake.ingest import ScopeBook, Stored, store_chunk
from scheduler.intake.wire import JOB_ID_BYTES_MAX

LINES = (".jsonl", ".ndjson")
CHUNK_MESSAGES = 1_000
CHUNK_BYTES = 16_777_216
SOURCE = "submit"


class KafkaAway(Unavailable):
    """Kafka did not take the messages."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"Kafka did not take the jobs: {reason}; submit them again when it is up")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One job that is to be submitted.

    Attributes:
        where: the file, or the file and the line, for a person to find it again.
        message: JSON; None where the document could not be read.
        refused: why not.
    """

    where: str
    message: bytes | None = None
    refused: str | None = None


def submission_reader(policy: IntakePolicy, directories: Sequence[Path] = ()) -> Reader:
    """A reader for jobs that a person submits on this machine.

    Their texts may be as long as a file may be: they do not pass through Kafka.
    """
    long = dataclasses.replace(
        policy,
        text_bytes_max=policy.file_bytes_max,
        # JSON may spell one byte as six.
        message_bytes_max=6 * policy.file_bytes_max + policy.message_bytes_max,
    )
    return Reader(policy=long, roots=Roots(directories=directories, bytes_max=long.file_bytes_max))


def submit_messages(
    conn: Connection,
    messages: Sequence[bytes],
    *,
    reader: Reader,
    scopes: ScopeBook | None = None,
    source: str = SOURCE,
) -> Stored:
    """Store the jobs that *messages* (JSON) describe, in the caller's transaction.

    Submitting the same again changes nothing.  What is refused is told by its index, with the
    reason, and is in no table.
    """
    return store_chunk(conn, reader.read(messages), scopes=scopes or ScopeBook(), source=source)


def send_messages(
    messages: Sequence[bytes], *, reader: Reader, kafka: Mapping[str, Any], topic: str
) -> list[Refusal]:
    """Send those of *messages* that are well-formed to Kafka, keyed by job id; the others.

    Raises:
        KafkaAway: some were not acknowledged.
    """
    chunk = reader.read(messages)
    try:
        with closing(KafkaProducer(**kafka, linger_ms=20, batch_size=262_144)) as producer:
            sends = [
                producer.send(topic, key=job.key.encode(), value=messages[job.at])
                for job in chunk.jobs
            ]
            producer.flush(timeout=60)
            for one in sends:
                one.get(timeout=1)
    except KafkaError as error:
        raise KafkaAway(reason=str(error)) from None
    return chunk.refused


def entries(
    paths: Iterable[Path], *, fields: Mapping[str, Any], stdin: IO[bytes], id_prefix: str = ""
) -> Iterator[Entry]:
    """The jobs in *paths*: lines of JSON (`-` is *stdin*), texts, and directories of texts.

    *fields* are those of the message that are the same for all; a line's own come first.  A
    text's job id is its path's end, so that submitting it again is the same job.
    """
    for path in paths:
        if str(path) == "-":
            yield from _lines("stdin", stdin, fields, id_prefix)
        elif path.is_dir():
            yield from _directory(path, fields, id_prefix)
        else:
            yield from _file(path, path.name, fields, id_prefix)


def text_entry(text: bytes, *, where: str, job_id: str, fields: Mapping[str, Any]) -> Entry:
    """The job on *text* (UTF-8)."""
    try:
        said = text_of(text, path=where)
    except BadPath as error:
        return Entry(where=where, refused=error.reason)
    message = {"job_id": short_id(job_id), "text": said, **fields}
    return Entry(where=where, message=json.dumps(message, ensure_ascii=False).encode())


def short_id(job_id: str) -> str:
    """*job_id*, if it is not too long; else its end, behind a digest of all of it."""
    encoded = job_id.encode(errors="replace")
    if len(encoded) <= JOB_ID_BYTES_MAX:
        return encoded.decode()
    end = encoded[-(JOB_ID_BYTES_MAX - 17) :].decode(errors="ignore")
    return f"{hashlib.sha256(encoded).hexdigest()[:16]}-{end}"


def chunks(found: Iterable[Entry]) -> Iterator[list[Entry]]:
    """*found* in lists that fit into one transaction."""
    chunk: list[Entry] = []
    size = 0
    for entry in found:
        chunk.append(entry)
        size += len(entry.message or b"")
        if len(chunk) >= CHUNK_MESSAGES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _directory(root: Path, fields: Mapping[str, Any], id_prefix: str) -> Iterator[Entry]:
    name = root.resolve().name
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        # What begins with a dot is some program's, and no document.
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            yield from _file(path, f"{name}/{inside.as_posix()}", fields, id_prefix)


def _file(path: Path, name: str, fields: Mapping[str, Any], id_prefix: str) -> Iterator[Entry]:
    try:
        if path.suffix.lower() in LINES:
            with path.open("rb") as lines:
                yield from _lines(str(path), lines, fields, id_prefix)
        else:
            content = path.read_bytes()
            yield text_entry(content, where=str(path), job_id=id_prefix + name, fields=fields)
    except OSError as error:
        yield Entry(where=str(path), refused=f"cannot be read: {error.strerror}")


def _lines(
    where: str, lines: Iterable[bytes], fields: Mapping[str, Any], id_prefix: str
) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            job_id = short_id(f"{id_prefix}{Path(where).name}:{number}")
            message = _merged(line, {"job_id": job_id, **fields})
            yield Entry(where=f"{where}:{number}", message=message)


def _merged(line: bytes, fields: Mapping[str, Any]) -> bytes:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return line  # refused where every message is
    if not isinstance(message, dict):
        return line
    return json.dumps({**fields, **message}).encode()
