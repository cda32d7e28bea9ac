"""Providers, what they offer, and what it cost from when on."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    text,
)

from scheduler.domain.offer import Lane
from scheduler.store.tables.base import (
    NO_TEXTS,
    NOW,
    Bytes,
    Json,
    Texts,
    Timestamp,
    metadata,
    one_of,
)


class _ProviderColumns(TypedColumns):
    id = Column(Integer, Identity(always=True), primary_key=True)
    name = Column(Text, nullable=False, unique=True)
    protocol = Column(Text, nullable=False)
    base_url = Column(Text, nullable=False, server_default="")
    # The name of the environment variable that holds the key; never the key.
    key_variable: Named[str | None] = Column(Text)


provider = Table("provider", metadata, _ProviderColumns)


class _OfferColumns(TypedColumns):
    id = Column(Integer, Identity(always=True), primary_key=True)
    name = Column(Text, nullable=False, unique=True)
    provider_id: Named[int] = Column(ForeignKey("provider.id"))
    model = Column(Text, nullable=False)
    region = Column(Text, nullable=False, server_default="")
    lane = Column(Text, nullable=False)
    tasks: Named[list[str]] = Column(Texts, nullable=False)
    certificates: Named[list[str]] = Column(Texts, nullable=False, server_default=NO_TEXTS)
    requests_per_minute: Named[int]
    tokens_per_minute: Named[int]
    context_limit: Named[int]
    output_limit: Named[int]
    concurrency: Named[int]
    tokenizer = Column(Text, nullable=False)
    # Per task, ppm: {"summarize": 820000}.
    quality_prior = Column(Json, nullable=False)
    # What the provider's adapter and the estimates need beyond the columns.
    details = Column(Json, nullable=False, server_default=text("'{}'"))
    is_on: Named[bool]
    off_reason: Named[str | None] = Column(Text)
    updated_at: Named[datetime] = Column(Timestamp, server_default=NOW)


offer = Table(
    "offer",
    metadata,
    _OfferColumns,
    CheckConstraint(one_of("lane", Lane), name="lane"),
    CheckConstraint("is_on = (off_reason IS NULL)", name="off_reason"),
)


class _PriceColumns(TypedColumns):
    id = Column(Integer, Identity(always=True), primary_key=True)
    offer_id: Named[int] = Column(ForeignKey("offer.id"))
    input_pusd = Column(BigInteger, nullable=False)
    output_pusd = Column(BigInteger, nullable=False)
    request_pusd = Column(BigInteger, nullable=False, server_default="0")
    source = Column(Text, nullable=False)
    digest = Column(Bytes, nullable=False)
    effective_from: Named[datetime] = Column(Timestamp, server_default=NOW)


price = Table(
    "price",
    metadata,
    _PriceColumns,
    UniqueConstraint("offer_id", "effective_from"),
    CheckConstraint("least(input_pusd, output_pusd, request_pusd) >= 0", name="sign"),
)


class _BreakerColumns(TypedColumns):
    offer_id = Column(Integer, ForeignKey("offer.id"), primary_key=True, autoincrement=False)
    failures: Named[int] = Column(server_default="0")
    resting_until: Named[datetime | None] = Column(Timestamp)
    last_error: Named[str | None] = Column(Text)
    updated_at: Named[datetime] = Column(Timestamp, server_default=NOW)
    # The provider itself said until when.
    is_asked: Named[bool] = Column(server_default=text("false"))


breaker = Table("breaker", metadata, _BreakerColumns)


class _PaceColumns(TypedColumns):
    offer_id = Column(Integer, ForeignKey("offer.id"), primary_key=True, autoincrement=False)
    # Up to when the offer's allowance is used up; GCRA's theoretical arrival times.
    requests_until: Named[datetime] = Column(Timestamp, server_default=NOW)
    tokens_until: Named[datetime] = Column(Timestamp, server_default=NOW)


pace = Table("pace", metadata, _PaceColumns)


class _ShareColumns(TypedColumns):
    offer_id = Column(Integer, ForeignKey("offer.id"), primary_key=True, autoincrement=False)
    worker = Column(Text, primary_key=True)
    # How many calls the worker may have under way, as far as the others know.
    calls: Named[int]
    since: Named[datetime] = Column(Timestamp, server_default=text("clock_timestamp()"))
    expires_at: Named[datetime] = Column(Timestamp)


share = Table("share", metadata, _ShareColumns, CheckConstraint("calls >= 0", name="calls"))
