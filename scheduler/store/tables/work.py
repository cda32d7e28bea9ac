"""Parcels of work, and the paid calls made for them."""

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Named,
    SmallInteger,
    Table,
    Text,
    TypedColumns,
    Uuid,
    text,
)

from scheduler.domain.job import Reduction
from scheduler.domain.work import AttemptState, ParcelState
from scheduler.store.tables.base import NOW, Timestamp, metadata, one_of


class _ParcelColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    plan_id = Column(BigInteger, ForeignKey("plan.id"), nullable=False)
    offer_id: Named[int] = Column(ForeignKey("offer.id"))
    provider_id: Named[int] = Column(ForeignKey("provider.id"))
    jobs: Named[int]
    # What its calls are expected to use, input and output together.
    tokens: Named[int] = Column(BigInteger, server_default="0")
    state = Column(Text, nullable=False, server_default=ParcelState.READY)
    attempt: Named[int] = Column(server_default="0")
    attempt_limit: Named[int]
    not_before: Named[datetime] = Column(Timestamp, server_default=NOW)
    due_at: Named[datetime] = Column(Timestamp)
    held_by: Named[str | None] = Column(Text)
    lease_expires_at: Named[datetime | None] = Column(Timestamp)
    # When its worker is to be told (again) that it waits.
    ring_at: Named[datetime] = Column(Timestamp, server_default=NOW)


parcel = Table(
    "parcel",
    metadata,
    _ParcelColumns,
    CheckConstraint(one_of("state", ParcelState), name="state"),
    CheckConstraint("attempt BETWEEN 0 AND attempt_limit", name="attempt"),
    CheckConstraint(
        "(state = 'running') = (held_by IS NOT NULL AND lease_expires_at IS NOT NULL)", name="lease"
    ),
)
Index(
    "ix_parcel_ready",
    parcel.c.provider_id,
    parcel.c.due_at,
    parcel.c.id,
    postgresql_where=text("state = 'ready'"),
)
Index("ix_parcel_bell", parcel.c.ring_at, postgresql_where=text("state = 'ready'"))
Index("ix_parcel_lease", parcel.c.lease_expires_at, postgresql_where=text("state = 'running'"))


class _AttemptColumns(TypedColumns):
    # Made by the worker before it calls, and sent with the call.
    id = Column(Uuid, primary_key=True)
    started_at = Column(Timestamp, primary_key=True)
    job_id = Column(BigInteger, nullable=False)
    parcel_id = Column(BigInteger, nullable=False)
    # The parcel's attempt number under which the call was made: the fence.
    fence: Named[int]
    ordinal = Column(SmallInteger, nullable=False)
    # No foreign keys, as in `decision`.
    offer_id: Named[int]
    price_id: Named[int]
    reduction = Column(Text, nullable=False)
    prompt = Column(Text, nullable=False)
    state = Column(Text, nullable=False, server_default=AttemptState.STARTED)
    # Set aside for this call, out of the job's reservation.
    reserved_nusd = Column(BigInteger, nullable=False)
    # The day whose budgets bear it.
    booked_on: Named[date] = Column(Date)
    cost_nusd: Named[int | None] = Column(BigInteger)
    input_tokens: Named[int | None] = Column(Integer)
    output_tokens: Named[int | None] = Column(Integer)
    finish: Named[str | None] = Column(Text)
    served_model: Named[str | None] = Column(Text)
    request_id: Named[str | None] = Column(Text)
    error: Named[str | None] = Column(Text)
    seconds: Named[float | None]
    finished_at: Named[datetime | None] = Column(Timestamp)


attempt = Table(
    "attempt",
    metadata,
    _AttemptColumns,
    CheckConstraint(one_of("state", AttemptState), name="state"),
    CheckConstraint(one_of("reduction", Reduction), name="reduction"),
    CheckConstraint("(state = 'started') = (finished_at IS NULL)", name="finished"),
    CheckConstraint("(state IN ('succeeded', 'failed')) = (cost_nusd IS NOT NULL)", name="cost"),
    CheckConstraint("reserved_nusd >= 0 AND cost_nusd >= 0", name="money"),
    postgresql_partition_by="RANGE (started_at)",
)
Index("ix_attempt_job", attempt.c.job_id)
Index(
    "ix_attempt_open",
    attempt.c.parcel_id,
    postgresql_where=text("state = 'started'"),
)
Index("ix_attempt_unknown", attempt.c.offer_id, postgresql_where=text("state = 'unknown'"))
