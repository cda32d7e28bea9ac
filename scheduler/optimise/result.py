"""What a solve answers: a plan with its proof and its prices, or why there is none."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import RowKind


class Status(StrEnum):
    """`optimal`: no plan is better.  `feasible`: none is better by more than the gap.

    `infeasible`: no plan keeps all rules; `conflict` says which, and what would help.
    `unknown`: neither a plan nor a proof that there is none was found in time.
    """

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowUse:
    """How a plan stands to one row.

    Attributes:
        use: the row's sum in the measure's unit; for shares in ppm, for means the mean.
        slack: what could still be used (or spared), in the same unit; never below 0 in a plan.
        price: value that one more unit of the limit would buy, to first order.
        plain: the price as a sentence.
    """

    name: str
    kind: RowKind
    measure: str
    limit: int
    use: float
    slack: float
    price: float
    plain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternatives:
    """The next best options of each job, best first, for when the chosen one fails.

    Attributes:
        options: (n, a) int16; -1 where a job has no further option.
        regret: (n, a) float32, the value lost at the plan's prices; infinite where none.
    """

    options: NDArray[np.int16]
    regret: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """By how much a rule would have to give way for a plan to exist.

    Attributes:
        rule: the row's name, or `job 17` where a job must be served and nothing may serve it.
        amount: in the row's own unit (ppm for shares).
        plain: the same as a sentence.
    """

    rule: str
    amount: int
    plain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A plan, how good it is, and how good any plan could be.

    Attributes:
        choice: (n,) int32, the option of each job; -1 where it is deferred.
        value: what the plan is worth, in the objective's unit.
        bound: no plan is worth more; rounding is accounted for.
        gap: `(bound - value)` relative to the larger of the two; 0 at best.
        rows: use, slack and price of every row, in the problem's order.
        alternatives: the next best options, where they were asked for.
        conflict: for an infeasible problem, the rules that exclude each other, each with
            its part in the least relaxation that would make a plan possible.
        passes: how often all jobs were priced.
        seconds: how long it took, by the clock.
        seed: what the samples were drawn with.
    """

    status: Status
    choice: NDArray[np.int32]
    value: float
    bound: float
    gap: float
    rows: tuple[RowUse, ...] = ()
    alternatives: Alternatives | None = None
    conflict: tuple[Relaxation, ...] = ()
    passes: int = 0
    seconds: float = 0.0
    seed: int = 0

    @property
    def has_plan(self) -> bool:
        """Whether `choice` keeps every rule."""
        return self.status in (Status.OPTIMAL, Status.FEASIBLE)

    @property
    def deferred(self) -> int:
        """How many jobs are left for later."""
        return int(np.count_nonzero(self.choice < 0))
