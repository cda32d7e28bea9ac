"""Who work is done for: organisations, their teams, the teams' projects."""

from sqlalchemy import (
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
)

from scheduler.store.tables.base import metadata, one_of

KINDS = ("organisation", "team", "project")


class _ScopeColumns(TypedColumns):
    id = Column(Integer, Identity(always=True), primary_key=True)
    kind = Column(Text, nullable=False)
    parent_id: Named[int | None] = Column(ForeignKey("scope.id"))
    # The organisation at the top, itself included: isolation between tenants is by this.
    tenant_id: Named[int] = Column(ForeignKey("scope.id"))
    name = Column(Text, nullable=False)
    # Names from the top joined by slashes, like acme/legal/contracts.
    path = Column(Text, nullable=False, unique=True)


scope = Table(
    "scope",
    metadata,
    _ScopeColumns,
    # What a job's key refers to: its project is its tenant's.
    UniqueConstraint("id", "tenant_id"),
    CheckConstraint(one_of("kind", KINDS), name="kind"),
    CheckConstraint("(kind = 'organisation') = (parent_id IS NULL)", name="parent"),
    CheckConstraint("(kind = 'organisation') = (tenant_id = id)", name="tenant"),
    CheckConstraint("name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'", name="name"),
)
Index("ix_scope_parent", scope.c.parent_id)
