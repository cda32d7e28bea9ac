"""The plan's last check before it is written: every rule again, in exact integers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Broken
from scheduler.domain.plan import Violation
from scheduler.optimise.problem import Problem
from scheduler.optimise.verify import violations_in_columns


class PlanBroken(Broken):
    """The solve gave a plan that breaks its own rules."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        said = ", ".join(f"{one.rule} by {one.excess}" for one in violations[:5])
        super().__init__(f"the plan breaks {len(violations)} of its rules ({said}); not committed")
        self.violations = tuple(violations)


def check_plan(problem: Problem, choice: NDArray[np.int32]) -> None:
    """Check *choice* (n,) against *problem*, whatever the solve said of it.

    Raises:
        PlanBroken: a job has an option that it may not have, or a row is exceeded.
    """
    broken = violations_in_columns(problem, choice)
    if broken:
        raise PlanBroken(broken)
