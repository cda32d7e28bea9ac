"""Documents, the jobs on them, and the jobs' results."""

from datetime import date, datetime
from uuid import UUID

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
    UniqueConstraint,
    Uuid,
    text,
)

from scheduler.domain.job import DataClass, JobState, Reduction, Task, When
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


class _DocumentColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    # No foreign key: a document comes with a job of the same tenant, and that one has it.
    tenant_id: Named[int]
    # SHA-256 of the UTF-8 text.
    digest = Column(Bytes, nullable=False)
    bytes: Named[int]
    words: Named[int]
    body: Named[str | None] = Column(Text)
    # Where the text is read from instead, under a configured root.
    path: Named[str | None] = Column(Text)
    found_class = Column(Text, nullable=False, server_default=DataClass.PUBLIC)
    # float16[FEATURES] and int32[k], little-endian: the quality and the token models' inputs.
    features = Column(Bytes, nullable=False)
    token_stats = Column(Bytes, nullable=False)


document = Table(
    "document",
    metadata,
    _DocumentColumns,
    UniqueConstraint("tenant_id", "digest"),
    CheckConstraint("(body IS NULL) <> (path IS NULL)", name="place"),
    CheckConstraint(one_of("found_class", DataClass), name="found_class"),
    CheckConstraint("octet_length(digest) = 32", name="digest"),
)


class _EmbeddingColumns(TypedColumns):
    document_id: Named[int] = Column(
        BigInteger, ForeignKey("document.id", ondelete="CASCADE"), primary_key=True
    )
    # What made it, by a digest of the model's files: vectors of two models are never compared.
    model = Column(Text, primary_key=True)
    # float16[width], little-endian.
    vector = Column(Bytes, nullable=False)


embedding = Table(
    "embedding",
    metadata,
    _EmbeddingColumns,
    CheckConstraint("octet_length(vector) >= 2", name="vector"),
)


class _JobColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    # No foreign keys, here and for the document: a trigger looks for all rows of a statement at
    # once, in place of one trigger a row.
    tenant_id: Named[int]
    project_id: Named[int]
    # The client's job id, unique for the tenant.
    key = Column(Text, nullable=False)
    # SHA-256 of what was asked: the same key with another digest is refused.
    digest = Column(Bytes, nullable=False)
    document_id: Named[int] = Column(BigInteger)
    task = Column(Text, nullable=False)
    # What the task needs beside the document: question, labels, schema, words.
    params = Column(Json, nullable=False, server_default=text("'{}'"))
    # The client's own names for chargeback; passed through to the result.
    tags = Column(Json, nullable=False, server_default=text("'{}'"))
    # 1 (least) to 9 (most); 5 weighs one.
    priority: Named[int] = Column(SmallInteger, server_default="5")
    deadline: Named[datetime | None] = Column(Timestamp)
    min_quality_ppm: Named[int] = Column(server_default="0")
    max_cost_nusd: Named[int | None] = Column(BigInteger)
    # What a good answer is worth, and what a bad one costs; the policy's figures where not said.
    gain_nusd: Named[int | None] = Column(BigInteger)
    loss_nusd: Named[int | None] = Column(BigInteger)
    residency: Named[list[str]] = Column(Texts, nullable=False, server_default=NO_TEXTS)
    data_class = Column(Text, nullable=False)
    run_when = Column(Text, nullable=False, server_default=When.NOW)
    source = Column(Text, nullable=False)
    received_at: Named[datetime] = Column(Timestamp, server_default=NOW)
    state = Column(Text, nullable=False, server_default=JobState.QUEUED)
    not_before: Named[datetime] = Column(Timestamp, server_default=NOW)
    deferrals: Named[int] = Column(SmallInteger, server_default="0")
    deferral_reason: Named[str | None] = Column(Text)
    plan_id: Named[int | None] = Column(BigInteger)
    parcel_id: Named[int | None] = Column(BigInteger)
    # What is set aside for the job and not yet spent or given back.
    reserved_nusd: Named[int] = Column(BigInteger, server_default="0")
    # The part of it that is kept for attempts whose outcome is unknown.
    held_nusd: Named[int] = Column(BigInteger, server_default="0")
    # The day whose budgets bear the reservation.
    booked_on: Named[date | None] = Column(Date)
    spent_nusd: Named[int] = Column(BigInteger, server_default="0")
    finished_at: Named[datetime | None] = Column(Timestamp)


job = Table(
    "job",
    metadata,
    _JobColumns,
    UniqueConstraint("tenant_id", "key"),
    CheckConstraint(one_of("task", Task), name="task"),
    CheckConstraint(one_of("data_class", DataClass), name="data_class"),
    CheckConstraint(one_of("run_when", When), name="run_when"),
    CheckConstraint(one_of("state", JobState), name="state"),
    CheckConstraint("priority BETWEEN 1 AND 9", name="priority"),
    CheckConstraint("min_quality_ppm BETWEEN 0 AND 1000000", name="min_quality"),
    CheckConstraint("max_cost_nusd >= 0 AND spent_nusd >= 0", name="money"),
    CheckConstraint("gain_nusd >= 0 AND loss_nusd >= 0", name="worth"),
    CheckConstraint("held_nusd BETWEEN 0 AND reserved_nusd", name="held"),
    CheckConstraint("reserved_nusd = 0 OR booked_on IS NOT NULL", name="booked"),
    CheckConstraint("(state = 'planned') = (parcel_id IS NOT NULL)", name="parcel"),
    CheckConstraint("(state IN ('done', 'failed')) = (finished_at IS NOT NULL)", name="finished"),
    CheckConstraint("octet_length(key) BETWEEN 1 AND 200", name="key"),
)
Index(
    "ix_job_queued",
    job.c.run_when,
    job.c.not_before,
    job.c.id,
    postgresql_where=text("state = 'queued'"),
)
# Judgings are few: how many began today, and whose wait for money.
Index("ix_job_judge", job.c.received_at, postgresql_where=text("task = 'judge'"))
Index(
    "ix_job_judge_queued",
    job.c.project_id,
    postgresql_where=text("task = 'judge' AND state = 'queued'"),
)
Index("ix_job_parcel", job.c.parcel_id, postgresql_where=text("state = 'planned'"))
# Money that is still set aside though the job is over: attempts whose outcome is unknown.
Index(
    "ix_job_held",
    job.c.id,
    postgresql_where=text("reserved_nusd > 0 AND state IN ('done', 'failed')"),
)


class _ResultColumns(TypedColumns):
    job_id = Column(BigInteger, ForeignKey("job.id"), primary_key=True, autoincrement=False)
    # The job's; no foreign key of its own, and none to an offer: those are never deleted.
    tenant_id: Named[int]
    status = Column(Text, nullable=False)
    # What the task's contract promises: a text, or an object.
    output: Named[object] = Column(Json, nullable=True)
    reason: Named[str | None] = Column(Text)
    attempt_id: Named[UUID | None] = Column(Uuid)
    offer_id: Named[int | None]
    reduction: Named[str | None] = Column(Text)
    # All that was spent on the job up to here, waste included.
    cost_nusd = Column(BigInteger, nullable=False)
    quality_ppm: Named[int | None] = Column(Integer)
    digest = Column(Bytes, nullable=False)
    at: Named[datetime] = Column(Timestamp, server_default=NOW)


result = Table(
    "result",
    metadata,
    _ResultColumns,
    CheckConstraint("status IN ('done', 'failed')", name="status"),
    CheckConstraint("(status = 'failed') = (reason IS NOT NULL)", name="reason"),
    CheckConstraint("(status = 'done') = (attempt_id IS NOT NULL)", name="attempt"),
    CheckConstraint(one_of("reduction", Reduction), name="reduction"),
)


# Read in the order of time by whoever looks for what is new; rows lie in that order already.
Index("ix_result_at", result.c.at, postgresql_using="brin")


class _FeedbackColumns(TypedColumns):
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    job_id = Column(BigInteger, ForeignKey("job.id"), nullable=False)
    kind = Column(Text, nullable=False)
    score_ppm: Named[int | None] = Column(Integer)
    seconds: Named[float | None]
    source = Column(Text, nullable=False)
    at: Named[datetime] = Column(Timestamp, server_default=NOW)
    # The right answer, where it was told, and the scorer that made *score_ppm* by it.
    reference: Named[object] = Column(Json, nullable=True)
    scorer: Named[str | None] = Column(Text)
    # The offer that judged; none where a person did.
    judge_offer_id: Named[int | None] = Column(ForeignKey("offer.id"))


feedback = Table(
    "feedback",
    metadata,
    _FeedbackColumns,
    CheckConstraint("kind IN ('use', 'edit', 'ignore', 'score', 'reference')", name="kind"),
    CheckConstraint(
        "CASE kind WHEN 'score' THEN score_ppm IS NOT NULL"
        " WHEN 'reference' THEN (score_ppm IS NULL) = (scorer IS NULL)"
        " ELSE score_ppm IS NULL END",
        name="score",
    ),
    CheckConstraint("(kind = 'reference') = (reference IS NOT NULL)", name="reference"),
    CheckConstraint("score_ppm BETWEEN 0 AND 1000000 AND seconds >= 0", name="range"),
)
Index("ix_feedback_job", feedback.c.job_id)
Index("ix_feedback_reference", feedback.c.scorer, postgresql_where=text("kind = 'reference'"))
