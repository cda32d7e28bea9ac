"""Jobs from files, directories and lines, put straight into the database or into Kafka."""

import dataclasses
import hashlib
import json
import re
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
from scheduler.intake.files import BadPath, Roots, content_of, files_below, text_of
from scheduler.intake.ingest import ScopeBook, Stored, store_chunk
from scheduler.intake.wire import JOB_ID_BYTES_MAX

LINES = (".jsonl", ".ndjson")
CHUNK_MESSAGES = 1_000
CHUNK_BYTES = 16_777_216
SOURCE = "submit"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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
    paths: Iterable[Path],
    *,
    fields: Mapping[str, Any],
    stdin: IO[bytes],
    bytes_max: int,
    id_prefix: str = "",
) -> Iterator[Entry]:
    """The jobs in *paths*: lines of JSON (`-` is *stdin*), texts, and directories of texts.

    *fields* are those of the message that are the same for all; a line's own come first.  A
    text, of at most *bytes_max* bytes, has its path's end for a job id, so that submitting it
    again is the same job.
    """
    for path in paths:
        if str(path) == "-":
            yield from _lines("stdin", stdin, fields, id_prefix)
            continue
        for file, name in _named(path):
            if isinstance(file, BadPath):
                yield Entry(where=file.path, refused=file.reason)
            elif file.suffix.lower() in LINES:
                yield from _file_of_lines(file, fields, id_prefix)
            else:
                job_id = short_id(id_prefix + name)
                yield file_entry(file, job_id=job_id, fields=fields, bytes_max=bytes_max)


def file_entry(file: Path, *, job_id: str, fields: Mapping[str, Any], bytes_max: int) -> Entry:
    """The job on the text in *file*, if that has at most *bytes_max* bytes."""
    try:
        content = content_of(file, bytes_max=bytes_max)
    except BadPath as error:
        return Entry(where=error.path, refused=error.reason)
    return text_entry(content, where=str(file), job_id=job_id, fields=fields)


def text_entry(text: bytes, *, where: str, job_id: str, fields: Mapping[str, Any]) -> Entry:
    """The job on *text* (UTF-8)."""
    try:
        said = text_of(text, path=where)
    except BadPath as error:
        return Entry(where=where, refused=error.reason)
    message = {"job_id": job_id, "text": said, **fields}
    spelt = json.dumps(message, ensure_ascii=False)
    # What a command line held that is no text is refused where every message is.
    return Entry(where=where, message=spelt.encode(errors="surrogatepass"))


def short_id(name: str) -> str:
    """*name* as a job id: itself, if that can be one; else its end, behind a digest of all of it.

    Names of files may be too long, have line breaks in them, or bytes that are no text.
    """
    plain = CONTROL.sub("?", name.encode(errors="replace").decode())
    encoded = plain.encode()
    if plain == name and len(encoded) <= JOB_ID_BYTES_MAX:
        return name
    end = encoded[-(JOB_ID_BYTES_MAX - 17) :].decode(errors="ignore")
    return f"{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}-{end}"


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


def _named(path: Path) -> Iterator[tuple[Path | BadPath, str]]:
    """The files at *path*, with names for them; and what of it cannot be read."""
    if not path.is_dir():
        yield path, path.name
        return
    files, closed = files_below(path)
    for bad in closed:
        yield bad, bad.path
    root = path.resolve().name
    for file in files:
        yield file, f"{root}/{file.relative_to(path).as_posix()}"


def _file_of_lines(file: Path, fields: Mapping[str, Any], id_prefix: str) -> Iterator[Entry]:
    try:
        with file.open("rb") as lines:
            yield from _lines(str(file), lines, fields, id_prefix)
    except OSError as error:
        yield Entry(where=str(file), refused=f"cannot be read: {error.strerror}")


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
