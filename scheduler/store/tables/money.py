"""Budgets, and the ledger that proves them."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    Uuid,
)

from scheduler.domain.ledger import EntryKind
from scheduler.store.tables.base import NOW, Timestamp, metadata, one_of


class _BudgetColumns(TypedColumns):
    id = Column(Integer, Identity(always=True), primary_key=True)
    scope_id: Named[int] = Column(ForeignKey("scope.id"))
    starts_on: Named[date]
    # The first day after it.
    ends_on: Named[date]
    limit_nusd = Column(BigInteger, nullable=False)
    reserved_nusd = Column(BigInteger, nullable=False, server_default="0")
    spent_nusd = Column(BigInteger, nullable=False, server_default="0")
    # Spent beyond what the budget had, because a provider billed more than was set aside.
    overrun_nusd = Column(BigInteger, nullable=False, server_default="0")
    set_at: Named[datetime] = Column(Timestamp, server_default=NOW)


budget = Table(
    "budget",
    metadata,
    _BudgetColumns,
    UniqueConstraint("scope_id", "starts_on", "ends_on"),
    CheckConstraint("starts_on < ends_on", name="period"),
    CheckConstraint("reserved_nusd >= 0 AND spent_nusd >= 0 AND overrun_nusd >= 0", name="sign"),
    CheckConstraint("spent_nusd + reserved_nusd <= limit_nusd", name="free"),
)


class _LedgerColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    at = Column(Timestamp, primary_key=True, server_default=NOW)
    kind = Column(Text, nullable=False)
    amount_nusd = Column(BigInteger, nullable=False)
    tenant_id: Named[int]
    project_id: Named[int]
    # The day whose budgets bear it: the day the money was set aside.
    booked_on: Named[date]
    job_id = Column(BigInteger, nullable=False)
    plan_id: Named[int | None] = Column(BigInteger)
    attempt_id: Named[UUID | None] = Column(Uuid)
    offer_id: Named[int | None] = Column(Integer)


ledger = Table(
    "ledger",
    metadata,
    _LedgerColumns,
    CheckConstraint(one_of("kind", EntryKind), name="kind"),
    CheckConstraint("amount_nusd > 0", name="amount"),
    # What is set aside or given back may be for one call, too.
    CheckConstraint("kind IN ('reservation', 'release') OR attempt_id IS NOT NULL", name="attempt"),
    postgresql_partition_by="RANGE (at)",
)
Index("ix_ledger_job", ledger.c.job_id)
Index("ix_ledger_booked", ledger.c.booked_on, ledger.c.project_id)
