"""Documents as they come in: each text once for a tenant, however many jobs are on it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from scheduler.store.bulk import numbers, texts
from scheduler.store.staging import copy_binary, unless_added_meanwhile


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


Key = tuple[int, bytes]
"""A tenant's id and a text's digest."""

COLUMNS = {
    "id": "int8",
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

_KNOWN = text("""
    SELECT asked.tenant_id, asked.digest, document.id, document.path
    FROM unnest(CAST(:tenants AS int[]), CAST(:digests AS bytea[])) AS asked (tenant_id, digest)
    JOIN document USING (tenant_id, digest)
""")
_IDS = text("""
    WITH named AS MATERIALIZED (
        SELECT pg_get_serial_sequence('document', 'id')::regclass AS sequence)
    SELECT nextval(sequence) FROM named, generate_series(1, :count)
""")
_MOVE = text("""
    UPDATE document SET body = :body, path = :path WHERE id = :id AND path IS NOT NULL
""")


def add_documents(conn: Connection, documents: Mapping[Key, Document]) -> dict[Key, int]:
    """Add those of *documents* that are not there; the ids of all.

    They go straight into their table: a text and its features are too long to be written twice.
    A document that is known stays as it is, except that a file gives way to a newer place: the
    old one may be gone.
    """

    def add() -> dict[Key, int]:
        ids = _known(conn, documents)
        # In one order everywhere, so that two processes with the same documents wait for each
        # other and do not lock each other out.
        missing = sorted(documents.keys() - ids.keys())
        return ids | _copied(conn, missing, documents) if missing else ids

    return unless_added_meanwhile(conn, add)


def _known(conn: Connection, documents: Mapping[Key, Document]) -> dict[Key, int]:
    asked = {
        "tenants": numbers(tenant for tenant, _ in documents),
        "digests": texts(f"\\x{digest.hex()}" for _, digest in documents),
    }
    ids, moved = {}, []
    for tenant, digest, document_id, path in conn.execute(_KNOWN, asked):
        key = (tenant, digest)
        ids[key] = document_id
        newer = documents[key]
        if path is not None and path != newer.path:
            moved.append({"id": document_id, "body": newer.body, "path": newer.path})
    if moved:
        conn.execute(_MOVE, sorted(moved, key=lambda one: one["id"]))
    return ids


def _copied(
    conn: Connection, missing: Sequence[Key], documents: Mapping[Key, Document]
) -> dict[Key, int]:
    ids = conn.execute(_IDS, {"count": len(missing)}).scalars().all()
    rows = (
        (document_id, key[0], *documents[key])
        for document_id, key in zip(ids, missing, strict=True)
    )
    copy_binary(conn, "document", COLUMNS, rows)
    return dict(zip(missing, ids, strict=True))
