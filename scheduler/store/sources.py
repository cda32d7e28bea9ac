"""The texts of documents that were taken in: here, or in the files that they came from."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from scheduler.domain.errors import Refused

# In the order of `Source`.  The digest is looked at for files alone.
_SOURCES = """
    SELECT id, CASE WHEN path IS NOT NULL THEN digest END, body, path
    FROM document WHERE id = ANY(%s)
"""


class Source(NamedTuple):
    """Where a document's text is: here (*body*), or in a file at *path* that has *digest*."""

    document_id: int
    digest: bytes | None
    body: str | None
    path: str | None


class DocumentChanged(Refused):
    """A document's file is not what it was when the job was taken in."""

    def __init__(self, *, document_id: int, reason: str) -> None:
        super().__init__(
            f"document {document_id}: its file {reason}; submit it again under a new job_id"
        )
        self.document_id = document_id


def read_sources(conn: Connection, document_ids: Collection[int]) -> list[Source]:
    """Where the texts of *document_ids* are."""
    rows = conn.exec_driver_sql(_SOURCES, (list(document_ids),)).all()
    return [Source._make(row) for row in rows]


def text_of(source: Source) -> str:
    """The document's text.

    Raises:
        DocumentChanged: its file is gone, or holds another text than was taken in.
    """
    if source.body is not None:
        return source.body
    assert source.path is not None
    try:
        # As it was taken in: a byte order mark is no part of the text.
        text = Path(source.path).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = f"cannot be read ({type(error).__name__})"
        raise DocumentChanged(document_id=source.document_id, reason=reason) from None
    if hashlib.sha256(text.encode()).digest() != source.digest:
        raise DocumentChanged(document_id=source.document_id, reason="has changed")
    return text
