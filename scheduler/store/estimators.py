"""The estimators: every version that was learned, and which of each kind is active."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from scheduler.domain.errors import Refused
from scheduler.store.tables.plans import estimator

KINDS = ("quality", "tokens", "latency")


class NoSuchEstimator(Refused):
    """There is no estimator of that kind with that id."""

    def __init__(self, *, kind: str, estimator_id: int) -> None:
        super().__init__(f"there is no {kind} estimator {estimator_id}; run `apportion learn`")
        self.kind = kind
        self.estimator_id = estimator_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """One version; *body* is what its class wrote, *digest* is over that."""

    id: int
    kind: str
    digest: bytes
    body: bytes


_VERSION = select(estimator.c.id, estimator.c.kind, estimator.c.digest, estimator.c.body)


def add_estimator(
    conn: Connection, *, kind: str, digest: bytes, body: bytes, figures: dict[str, Any]
) -> int:
    """Keep a version, inactive; its id.  One with the same digest is the same version.

    *figures* say what it was learned from and how it did on held-back data.
    """
    assert kind in KINDS, kind
    # Not when the transaction began: what came in while it was learned may have been learned.
    made_at = func.clock_timestamp()
    made = conn.execute(
        insert(estimator)
        .values(kind=kind, digest=digest, body=body, figures=figures, made_at=made_at)
        .on_conflict_do_nothing(index_elements=["digest"])
        .returning(estimator.c.id)
    ).scalar_one_or_none()
    if made is not None:
        return made
    return conn.execute(select(estimator.c.id).where(estimator.c.digest == digest)).scalar_one()


def activate(conn: Connection, *, kind: str, estimator_id: int) -> None:
    """Make plans go by that version from now on.

    Raises:
        NoSuchEstimator: there is none.
    """
    conn.execute(
        update(estimator)
        .where(estimator.c.kind == kind, estimator.c.is_active)
        .values(is_active=False)
    )
    made = conn.execute(
        update(estimator)
        .where(estimator.c.id == estimator_id, estimator.c.kind == kind)
        .values(is_active=True)
    )
    if made.rowcount != 1:
        raise NoSuchEstimator(kind=kind, estimator_id=estimator_id)


def retire(conn: Connection, *, estimator_id: int) -> None:
    """Make plans go by that version no longer; it is kept."""
    conn.execute(update(estimator).where(estimator.c.id == estimator_id).values(is_active=False))


def active_estimators(conn: Connection) -> list[Estimator]:
    """The versions that plans go by, by kind; a kind that nothing was learned of is not there."""
    found = conn.execute(_VERSION.where(estimator.c.is_active).order_by(estimator.c.kind))
    return [Estimator(**row._asdict()) for row in found]


def read_estimator(conn: Connection, *, digest: bytes) -> Estimator | None:
    """The version with that digest, active or not: old plans stay explainable."""
    row = conn.execute(_VERSION.where(estimator.c.digest == digest)).one_or_none()
    return None if row is None else Estimator(**row._asdict())
