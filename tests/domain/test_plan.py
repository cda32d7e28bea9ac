"""What a row limits, and which rules a plan breaks: on both sides of every limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from scheduler.domain.plan import DEFERRED, Row, RowKind, Violation, violations


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """An instance in plain Python: costs by job and option, one group per job."""

    rows: Sequence[Row]
    costs: Sequence[Sequence[int]]
    groups: Sequence[int]
    forbidden: frozenset[tuple[int, int]] = frozenset()
    also: Mapping[str, int] = field(default_factory=dict)

    def group_of(self, job: int) -> int:
        return self.groups[job]

    def amount(self, measure: str, *, job: int, option: int) -> int:
        return self.costs[job][option] if measure == "cost_nusd" else 1

    def allows(self, *, job: int, option: int) -> bool:
        return (job, option) not in self.forbidden


def jobs(*rows: Row, forbidden: frozenset[tuple[int, int]] = frozenset()) -> Jobs:
    """Three jobs of groups 0, 0, 1; each costs 10 under option 0 and 30 under option 1."""
    costs = [[10, 30], [10, 30], [10, 30]]
    return Jobs(rows=rows, costs=costs, groups=[0, 0, 1], forbidden=forbidden)


def row(kind: RowKind, limit: int, measure: str = "cost_nusd", **reach: tuple[int, ...]) -> Row:
    return Row(name="it", measure=measure, limit=limit, kind=kind, **reach)


@pytest.mark.parametrize(
    ("kept", "broken", "excess", "plan"),
    [
        (row(RowKind.MOST, 50), row(RowKind.MOST, 49), 1, [0, 0, 1]),
        (row(RowKind.LEAST, 50), row(RowKind.LEAST, 51), 1, [0, 0, 1]),
        (
            row(RowKind.SHARE_MOST, 600_000, options=(1,)),
            row(RowKind.SHARE_MOST, 599_999, options=(1,)),
            50,
            [0, 0, 1],
        ),
        (
            row(RowKind.SHARE_LEAST, 400_000, options=(0,)),
            row(RowKind.SHARE_LEAST, 400_001, options=(0,)),
            50,
            [0, 0, 1],
        ),
        (row(RowKind.MEAN_LEAST, 20), row(RowKind.MEAN_LEAST, 21), 2, [0, DEFERRED, 1]),
        (row(RowKind.MEAN_MOST, 20), row(RowKind.MEAN_MOST, 19), 2, [0, DEFERRED, 1]),
        (
            row(RowKind.ALL_OR_NOTHING, 30, options=(1,)),
            row(RowKind.ALL_OR_NOTHING, 31, options=(1,)),
            1,
            [0, 0, 1],
        ),
    ],
)
def test_a_row_is_kept_at_its_limit_and_broken_beyond(
    kept: Row, broken: Row, excess: int, plan: list[int]
) -> None:
    assert violations(jobs(kept), plan) == ()
    assert violations(jobs(broken), plan) == (Violation(rule="it", excess=excess),)


@pytest.mark.parametrize("kind", list(RowKind))
def test_a_plan_that_defers_everything_breaks_only_what_asks_for_a_least(kind: RowKind) -> None:
    broken = violations(jobs(row(kind, 1)), [DEFERRED] * 3)

    assert bool(broken) == (kind is RowKind.LEAST)


def test_a_row_counts_its_groups_and_its_options_alone() -> None:
    there = row(RowKind.MOST, 0, groups=(1,), options=(1,))

    assert violations(jobs(there), [1, 1, 0]) == ()
    assert violations(jobs(there), [0, 0, 1]) == (Violation(rule="it", excess=30),)


def test_a_group_or_option_named_twice_counts_once() -> None:
    assert violations(jobs(row(RowKind.MOST, 30, groups=(1, 1), options=(1, 1))), [0, 0, 1]) == ()


def test_a_job_with_what_it_may_not_have_is_named() -> None:
    instance = jobs(forbidden=frozenset({(1, 0), (2, DEFERRED)}))

    assert violations(instance, [0, 1, 0]) == ()
    assert [broken.rule for broken in violations(instance, [0, 0, DEFERRED])] == ["job 1", "job 2"]


def test_sums_beyond_64_bits_are_still_exact() -> None:
    costs = [[2**62, 0], [2**62, 0], [2**62 + 1, 0]]
    most = row(RowKind.MOST, 3 * 2**62)

    broken = violations(Jobs(rows=(most,), costs=costs, groups=[0, 0, 0]), [0, 0, 0])

    assert broken == (Violation(rule="it", excess=1),)
