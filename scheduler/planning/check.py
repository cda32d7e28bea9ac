"""The plan's last check before it is written: every rule again, in exact integers.

`scheduler.domain.plan.violations` says the same one job at a time; this is its twin for
windows of a million jobs, and a test holds the two against each other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Broken
from scheduler.domain.plan import RowKind, Violation
from scheduler.optimise.problem import Problem


class PlanBroken(Broken):
    """The solve gave a plan that breaks its own rules."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        said = ", ".join(f"{one.rule} by {one.excess}" for one in violations[:5])
        super().__init__(f"the plan breaks {len(violations)} of its rules ({said}); not committed")
        self.violations = tuple(violations)


def check_plan(problem: Problem, choice: NDArray[np.int32]) -> None:
    """Check *choice* (n,) against *problem*, whose measures are arrays (n, m).

    Raises:
        PlanBroken: a job has an option that it may not have, or a row is exceeded.
    """
    broken = broken_rules(problem, choice)
    if broken:
        raise PlanBroken(broken)


def broken_rules(problem: Problem, choice: NDArray[np.int32]) -> list[Violation]:
    """What `violations` would say, for rows of the kind `most`."""
    assert problem.eligible is not None
    assert problem.groups is not None
    jobs = np.flatnonzero(choice >= 0)
    options = choice[jobs].astype(np.int64)
    wrong = jobs[~problem.eligible[jobs, options]]
    broken = [Violation(rule=f"job {job}", excess=1) for job in wrong.tolist()]
    groups = problem.groups[jobs]
    for row in problem.rows:
        assert row.kind is RowKind.MOST, row
        counted = np.ones(len(jobs), np.bool_)
        if row.groups is not None:
            counted &= np.isin(groups, row.groups)
        if row.options is not None:
            counted &= np.isin(options, row.options)
        excess = _sum(problem, row.measure, jobs[counted], options[counted]) - row.limit
        if excess > 0:
            broken.append(Violation(rule=row.name, excess=excess))
    return broken


def _sum(
    problem: Problem, measure: str, jobs: NDArray[np.int64], options: NDArray[np.int64]
) -> int:
    given = problem.measures.get(measure)
    if given is None:
        assert measure == "requests", measure
        return len(jobs)
    assert isinstance(given, np.ndarray)
    amounts = given[jobs, options].astype(np.int64)
    # In halves: a million amounts near their limit do not fit 64 bits together.
    return (int((amounts >> 32).sum()) << 32) + int((amounts & 0xFFFFFFFF).sum())
