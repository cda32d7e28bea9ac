"""Plans and their decisions: written once, in bulk, and read back for whoever asks why."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any

from sqlalchemy import Connection, insert, select

from scheduler.domain.decision import COLUMNS, DecisionRow
from scheduler.domain.evidence import canonical
from scheduler.store.bulk import copy_rows
from scheduler.store.tables.plans import decision, plan

_SPELLED = COLUMNS.index("alternatives")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlan:
    """A plan's own row; the fields are the table's.

    Attributes:
        rows: per row of the solve its name, limit, use, slack and price.
        inputs: digests (hex) of what went in.
    """

    window_kind: str
    jobs: int
    planned: int
    deferred: int
    value: float
    bound: float
    gap: float
    passes: int
    solve_s: float
    seed: int
    cost_nusd: int
    reserved_nusd: int
    rows: Sequence[dict[str, Any]]
    inputs: dict[str, Any]
    decisions_digest: bytes


def add_plan(conn: Connection, new: NewPlan) -> int:
    """Write the plan's row; its id."""
    return conn.execute(insert(plan).values(**asdict(new)).returning(plan.c.id)).scalar_one()


def add_decisions(
    conn: Connection,
    *,
    plan_id: int,
    rows: Iterable[DecisionRow],
    asked: Sequence[bytes] | None = None,
) -> None:
    """Write the plan's decisions, each a value for every one of `decision.COLUMNS`.

    *asked* has for each the digest of what was asked of its job.
    """
    digests = repeat(None) if asked is None else asked
    copy_rows(
        conn,
        "decision",
        ("plan_id", *COLUMNS, "asked_digest"),
        ((plan_id, *row, digest) for row, digest in zip(rows, digests, strict=asked is not None)),
    )


def decision_rows(conn: Connection, *, plan_id: int) -> Iterator[DecisionRow]:
    """The plan's decisions as `decisions_digest` takes them; not all in memory at once."""
    found = conn.execute(
        select(*(decision.c[name] for name in COLUMNS))
        .where(decision.c.plan_id == plan_id)
        .order_by(decision.c.job_id),
        execution_options={"yield_per": 5_000},
    )
    for row in found:
        values = list(row)
        values[_SPELLED] = canonical(values[_SPELLED])
        yield values
