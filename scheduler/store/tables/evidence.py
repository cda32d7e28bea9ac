"""Audit records, and where each stream of them stands."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, Text, TypedColumns

from scheduler.store.tables.base import NOW, Bytes, Timestamp, metadata


class _EvidenceColumns(TypedColumns):
    stream = Column(Text, primary_key=True)
    seq = Column(BigInteger, primary_key=True, autoincrement=False)
    at = Column(Timestamp, primary_key=True, server_default=NOW)
    kind = Column(Text, nullable=False)
    # Canonical JSON, byte for byte what was digested; a jsonb column would respell it.
    body = Column(Text, nullable=False)
    digest = Column(Bytes, nullable=False)


evidence = Table(
    "evidence",
    metadata,
    _EvidenceColumns,
    CheckConstraint("seq > 0 AND octet_length(digest) = 32", name="record"),
    postgresql_partition_by="RANGE (at)",
)


class _EvidenceHeadColumns(TypedColumns):
    stream = Column(Text, primary_key=True)
    seq = Column(BigInteger, nullable=False)
    digest = Column(Bytes, nullable=False)


evidence_head = Table("evidence_head", metadata, _EvidenceHeadColumns)
