"""What crosses Kafka: how far it was read, what was turned away, what waits to be sent."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    text,
)

from scheduler.store.tables.base import NOW, Bytes, Timestamp, metadata


class _PositionColumns(TypedColumns):
    topic = Column(Text, primary_key=True)
    partition: Named[int] = Column(primary_key=True, autoincrement=False)
    next_offset = Column(BigInteger, nullable=False)


position = Table("position", metadata, _PositionColumns)


class _DeadLetterColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    at: Named[datetime] = Column(Timestamp, server_default=NOW)
    source = Column(Text, nullable=False)
    topic: Named[str | None] = Column(Text)
    partition: Named[int | None] = Column(Integer)
    message_offset: Named[int | None] = Column(BigInteger)
    key: Named[str | None] = Column(Text)
    reason = Column(Text, nullable=False)
    payload = Column(Bytes, nullable=False)


dead_letter = Table(
    "dead_letter",
    metadata,
    _DeadLetterColumns,
    UniqueConstraint("topic", "partition", "message_offset"),
)


class _OutboxColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    at: Named[datetime] = Column(Timestamp, server_default=NOW)
    topic = Column(Text, nullable=False)
    key = Column(Text, nullable=False)
    payload = Column(Text, nullable=False)
    # Which send it belongs to; written before the send, so that it can be told afterwards.
    batch_no: Named[int | None] = Column(BigInteger)


outbox = Table("outbox", metadata, _OutboxColumns)
Index("ix_outbox_batch", outbox.c.batch_no, postgresql_where=text("batch_no IS NOT NULL"))
