"""Plans, their decisions, and the estimators that stood behind them."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    text,
)

from scheduler.domain.job import Reduction
from scheduler.store.tables.base import NOW, Bytes, Json, Timestamp, metadata, one_of


class _EstimatorColumns(TypedColumns):
    id = Column(Integer, Identity(always=True), primary_key=True)
    kind = Column(Text, nullable=False)
    digest = Column(Bytes, nullable=False, unique=True)
    body = Column(Bytes, nullable=False)
    # What it was learned from, and how it did on held-back data.
    figures = Column(Json, nullable=False, server_default=text("'{}'"))
    made_at: Named[datetime] = Column(Timestamp, server_default=NOW)
    is_active: Named[bool] = Column(server_default=text("false"))


estimator = Table(
    "estimator",
    metadata,
    _EstimatorColumns,
    CheckConstraint("kind IN ('quality', 'tokens', 'latency')", name="kind"),
)
Index(
    "uq_estimator_active",
    estimator.c.kind,
    unique=True,
    postgresql_where=text("is_active"),
)


class _PlanColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    at: Named[datetime] = Column(Timestamp, server_default=NOW)
    window_kind = Column(Text, nullable=False)
    jobs: Named[int]
    planned: Named[int]
    deferred: Named[int]
    value = Column(Double, nullable=False)
    bound = Column(Double, nullable=False)
    gap = Column(Double, nullable=False)
    passes: Named[int]
    solve_s = Column(Double, nullable=False)
    seed = Column(BigInteger, nullable=False)
    cost_nusd = Column(BigInteger, nullable=False)
    reserved_nusd = Column(BigInteger, nullable=False)
    # Per row of the solve: name, limit, use, slack, and the price of one more unit.
    rows = Column(Json, nullable=False)
    # Digests (hex) of what went in: prices, quality, tokens, policy.
    inputs = Column(Json, nullable=False)
    # Over the plan's decisions, in order of job id.
    decisions_digest = Column(Bytes, nullable=False)


plan = Table(
    "plan",
    metadata,
    _PlanColumns,
    CheckConstraint("window_kind IN ('continuous', 'night', 'asked')", name="window_kind"),
    CheckConstraint("planned + deferred = jobs", name="jobs"),
    CheckConstraint("cost_nusd >= 0 AND reserved_nusd >= 0", name="money"),
)


class _DecisionColumns(TypedColumns):
    # No foreign keys: four look-ups a row were half of what writing a plan cost, and neither jobs
    # nor offers nor prices are ever deleted (the application's role may not delete offers).
    plan_id = Column(BigInteger, primary_key=True, autoincrement=False)
    job_id = Column(BigInteger, primary_key=True, autoincrement=False)
    offer_id: Named[int | None] = Column(Integer)
    price_id: Named[int | None] = Column(Integer)
    reduction: Named[str | None] = Column(Text)
    # Expected, and set aside.
    cost_nusd: Named[int | None] = Column(BigInteger)
    reserved_nusd: Named[int | None] = Column(BigInteger)
    quality_ppm: Named[int | None] = Column(Integer)
    quality_low_ppm: Named[int | None] = Column(Integer)
    input_tokens: Named[int | None] = Column(Integer)
    output_tokens: Named[int | None] = Column(Integer)
    # The most tokens an answer may have within the reservation.
    output_limit: Named[int | None] = Column(Integer)
    # Next best first: [{"offer_id", "price_id", "reduction", "reserved_nusd", "quality_ppm", ...}].
    alternatives = Column(Json, nullable=False, server_default=text("'[]'"))
    deferral_reason: Named[str | None] = Column(Text)
    # Of what was asked of the job; the plan's own is of all of these.
    asked_digest: Named[bytes | None] = Column(Bytes)


decision = Table(
    "decision",
    metadata,
    _DecisionColumns,
    CheckConstraint("(offer_id IS NULL) = (deferral_reason IS NOT NULL)", name="deferral"),
    CheckConstraint(
        "(offer_id IS NULL) = (price_id IS NULL) AND (offer_id IS NULL) = (reduction IS NULL)"
        " AND (offer_id IS NULL) = (reserved_nusd IS NULL)",
        name="option",
    ),
    CheckConstraint(one_of("reduction", Reduction), name="reduction"),
    CheckConstraint("cost_nusd >= 0 AND reserved_nusd >= 0", name="money"),
)
Index("ix_decision_job", decision.c.job_id)
