"""A plan's rules: what a row limits, and which rules a plan breaks, in exact integers.

Nothing here knows how a plan was found.  `violations` reads every rule from its
definition, one job at a time; the solver has its own, faster reading of the same rules,
and a test holds the two against each other.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

PPM = 1_000_000
"""Shares are whole parts per million: 400 000 is 40 %."""

DEFERRED = -1
"""The option of a job that waits for a later window."""


class RowKind(StrEnum):
    """What a row asks of `use`, the sum of its measure over its groups and options.

    `most`: use is at most the limit.
    `least`: use is at least the limit.
    `share_most`: use is at most *limit* ppm of the same sum over all options.
    `share_least`: use is at least *limit* ppm of the same sum over all options.
    `mean_least`: the mean of the measure, over the jobs that use it, is at least the limit.
    `mean_most`: that mean is at most the limit.
    `all_or_nothing`: use is zero, or at least the limit.
    """

    MOST = "most"
    LEAST = "least"
    SHARE_MOST = "share_most"
    SHARE_LEAST = "share_least"
    MEAN_LEAST = "mean_least"
    MEAN_MOST = "mean_most"
    ALL_OR_NOTHING = "all_or_nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limit on many jobs at once.

    Attributes:
        name: unique in its problem, like `team/legal`; what people read.
        measure: what is added up, like `cost_nusd`, `tokens`, or `requests`.
        limit: in the measure's unit, or in ppm for the two share kinds.
        groups: the groups whose jobs count; None for all.
        options: the options that count; None for all.
        kind: what is asked of the sum.
    """

    name: str
    measure: str
    limit: int
    groups: tuple[int, ...] | None = None
    options: tuple[int, ...] | None = None
    kind: RowKind = RowKind.MOST


class Instance(Protocol):
    """A problem as `violations` reads it: one job and one option at a time."""

    @property
    def rows(self) -> Sequence[Row]: ...

    def group_of(self, job: int) -> int: ...

    def amount(self, measure: str, *, job: int, option: int) -> int:
        """The measure of *job* under *option*, a whole number."""

    def allows(self, *, job: int, option: int) -> bool:
        """Whether *job* may have *option* (or be `DEFERRED`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that a plan breaks.

    Attributes:
        rule: the row's name, or `job 17` where a job has what it may not have.
        excess: by how much, in the units of the row's two sides; at least 1.
    """

    rule: str
    excess: int


@dataclass(slots=True)
class _Use:
    """What a row has used so far: its own part, the whole, and how many jobs."""

    part: int = 0
    whole: int = 0
    jobs: int = 0


def violations(instance: Instance, plan: Sequence[int]) -> tuple[Violation, ...]:
    """Every rule that *plan* (an option or `DEFERRED` for each job) breaks.

    Integers throughout, so the answer is exact, and the same on every machine.
    """
    broken = [
        Violation(rule=f"job {job}", excess=1)
        for job, option in enumerate(plan)
        if not instance.allows(job=job, option=int(option))
    ]
    for row, use in zip(instance.rows, _uses(instance, plan), strict=True):
        over = _excess(row, use)
        if over > 0:
            broken.append(Violation(rule=row.name, excess=over))
    return tuple(broken)


def _uses(instance: Instance, plan: Sequence[int]) -> list[_Use]:
    uses = [_Use() for _ in instance.rows]
    reach = _reach(instance.rows)
    for job, option in enumerate(plan):
        if option == DEFERRED:
            continue
        for k in reach[None] + reach.get(instance.group_of(job), []):
            row, use = instance.rows[k], uses[k]
            amount = instance.amount(row.measure, job=job, option=int(option))
            use.whole += amount
            if row.options is None or option in row.options:
                use.part += amount
                use.jobs += 1
    return uses


def _reach(rows: Sequence[Row]) -> Mapping[int | None, list[int]]:
    """The rows that a group's jobs count for; under None, those that every job counts for."""
    reach: dict[int | None, list[int]] = defaultdict(list)
    for k, row in enumerate(rows):
        for group in (None,) if row.groups is None else sorted(set(row.groups)):
            reach[group].append(k)
    return reach


def _excess(row: Row, use: _Use) -> int:
    """By how much *use* breaks *row*; zero or less where it does not."""
    match row.kind:
        case RowKind.MOST:
            return use.part - row.limit
        case RowKind.LEAST:
            return row.limit - use.part
        case RowKind.SHARE_MOST:
            return PPM * use.part - row.limit * use.whole
        case RowKind.SHARE_LEAST:
            return row.limit * use.whole - PPM * use.part
        case RowKind.MEAN_LEAST:
            return row.limit * use.jobs - use.part
        case RowKind.MEAN_MOST:
            return use.part - row.limit * use.jobs
        case RowKind.ALL_OR_NOTHING:
            return row.limit - use.part if use.part > 0 else 0
