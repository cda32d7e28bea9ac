"""Documents as they come in: each text once for a tenant, however many jobs are on it."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, text

from scheduler.store.staging import stage


class Document(NamedTuple):
    """A document and what was computed from it.

    Attributes:
        digest: SHA-256 (32 bytes) of the UTF-8 text.
        length: the text's length in UTF-8.
        words: how many it has.
        body, path: the text, or else the file that has it.
        found_class: how sensitive it looks (`DataClass`).
        features: float32[FEATURES], little-endian.
        token_stats: int32[TOKEN_STATS], little-endian.
    """

    digest: bytes
    length: int
    words: int
    body: str | None
    path: str | None
    found_class: str
    features: bytes
    token_stats: bytes


COLUMNS = {
    "tenant_id": "int4",
    "digest": "bytea",
    "bytes": "int4",
    "words": "int4",
    "body": "text",
    "path": "text",
    "found_class": "text",
    "features": "bytea",
    "token_stats": "bytea",
}

# A document that is known stays as it is, except that a file gives way to a newer place: the old
# one may be gone.  In the digests' order, so that two processes with the same documents wait for
# each other and do not lock each other out.
_ADD = text("""
    INSERT INTO document
        (tenant_id, digest, bytes, words, body, path, found_class, features, token_stats)
    SELECT tenant_id, digest, bytes, words, body, path, found_class, features, token_stats
    FROM incoming_document ORDER BY tenant_id, digest
    ON CONFLICT (tenant_id, digest) DO UPDATE SET body = excluded.body, path = excluded.path
    WHERE document.path IS DISTINCT FROM excluded.path AND document.path IS NOT NULL
""")


def add_documents(conn: Connection, documents: Iterable[tuple[int, Document]]) -> None:
    """Add those of *documents* (with their tenants' ids) that are not there.

    No two of them may have the same tenant and digest.
    """
    stage(conn, "incoming_document", COLUMNS, ((tenant, *one) for tenant, one in documents))
    conn.execute(_ADD)
