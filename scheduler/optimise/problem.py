"""The problem in columns: values, measures, groups and rows of one window."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Refused
from scheduler.domain.plan import DEFERRED, PPM, Row, RowKind

__all__ = [
    "BadProblem",
    "Factors",
    "Measure",
    "Objective",
    "Problem",
    "Row",
    "RowKind",
    "Tariff",
]

COST = "cost_nusd"
"""The measure that is money, in nUSD; the objectives `cost` and `earnings` read it."""

REQUESTS = "requests"
"""A measure that need not be given: 1 for every choice."""

QUALITY = "quality_ppm"
"""A measure that need not be given: the value, in whole parts per million.

To the nearest, and not down: 0.9 is 0.89999998 as float32, and would not keep a floor of 0.9."""


class BadProblem(Refused):
    """The columns of a problem do not fit together, or hold what is no number."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"the problem's {column}: {reason}")
        self.column = column
        self.reason = reason


class Objective(StrEnum):
    """What a plan is to have most of.

    `value`: the sum of weight times value (Budget-Opt in QC-Opt's words).
    `cost`: minus the cost in USD (Cost-Min); give rows or floors that keep the quality up.
    `earnings`: `gain p - loss (1 - p) - cost`, in USD, where the value p is a probability.
    """

    VALUE = "value"
    COST = "cost"
    EARNINGS = "earnings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """Values as a product, so that no array of jobs x options is held.

    Attributes:
        features: (n, f) float32.
        heads: (f, m) float32; the value of job i under option o is `features[i] . heads[:, o]`.
    """

    features: NDArray[np.float32]
    heads: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A measure as a price list: `ceil((base[o] + counts[i] . rates[:, o]) / divisor)`.

    Costs follow from token counts in this way, without an array of jobs x options, and
    equal to the nUSD what `Offer.cost_nusd` says (divisor 1000 from pUSD).

    Attributes:
        counts: (n, k) int32 or int64, at least 0: what a job has of each thing that is paid for.
        rates: (k, m) int64, at least 0: what one of it costs under each option.
        base: (m,) int64, at least 0: what a choice costs before anything is counted.
        divisor: from the rates' unit to the measure's.
    """

    counts: NDArray[np.int32] | NDArray[np.int64]
    rates: NDArray[np.int64]
    base: NDArray[np.int64] | None = None
    divisor: int = 1


Measure = NDArray[Any] | Tariff
"""Whole numbers, at least 0: an array that broadcasts to (n, m) with two axes, or a `Tariff`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Choose at most one option for each job: n jobs, m options.

    Attributes:
        values: (n, m) float32, or `Factors`: how good each option would be, mostly in 0..1.
        measures: what a choice uses up, by name; whole numbers.  `requests` (ones) and
            `quality_ppm` (from the values) are there without being given.
        groups: (n,) int32, the group of each job (its project), from 0 up.
        rows: the limits.
        eligible: (n, m) bool; None allows all.
        deferral_values: (n,) float32, what it is worth to leave a job for later, in the
            objective's unit; minus infinity where a job must be served; None for all zeros.
        pinned: (n,) int32, the one option that a job may have, or -1; None pins none.
        min_quality: (n,) float32, the least value that an option must have for a job.
        weights: (n,) float32, at least 0, how much a job's value counts; None for all ones.
        gains, losses: (n,) float32, USD, for the objective `earnings`.
        objective: what the plan is to have most of.
    """

    values: NDArray[np.float32] | Factors
    measures: Mapping[str, Measure] = field(default_factory=dict)
    groups: NDArray[np.int32] | None = None
    rows: tuple[Row, ...] = ()
    eligible: NDArray[np.bool_] | None = None
    deferral_values: NDArray[np.float32] | None = None
    pinned: NDArray[np.int32] | None = None
    min_quality: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None
    gains: NDArray[np.float32] | None = None
    losses: NDArray[np.float32] | None = None
    objective: Objective = Objective.VALUE

    @property
    def jobs(self) -> int:
        """n, how many jobs there are."""
        values = self.values
        return len(values.features if isinstance(values, Factors) else values)

    @property
    def options(self) -> int:
        """m, how many options there are."""
        values = self.values
        return int((values.heads if isinstance(values, Factors) else values).shape[1])

    def group_of(self, job: int) -> int:
        """The group of *job*."""
        return 0 if self.groups is None else int(self.groups[job])

    def value(self, *, job: int, option: int) -> float:
        """The value of *job* under *option*, as the solver sees it: float32."""
        if not isinstance(self.values, Factors):
            return float(np.float32(self.values[job, option]))
        total = np.float32(0)
        for feature, head in zip(
            self.values.features[job], self.values.heads[:, option], strict=True
        ):
            total += np.float32(feature) * np.float32(head)
        return float(total)

    def amount(self, measure: str, *, job: int, option: int) -> int:
        """The measure of *job* under *option*."""
        given = self.measures.get(measure)
        if given is None:
            return self._implied(measure, job=job, option=option)
        if isinstance(given, Tariff):
            total = 0 if given.base is None else int(given.base[option])
            for count, rate in zip(given.counts[job], given.rates[:, option], strict=True):
                total += int(count) * int(rate)
            return -(-total // given.divisor)
        rows, columns = given.shape
        return int(given[job if rows > 1 else 0, option if columns > 1 else 0])

    def _implied(self, measure: str, *, job: int, option: int) -> int:
        if measure == REQUESTS:
            return 1
        if measure == QUALITY:
            return int(np.rint(self.value(job=job, option=option) * PPM))
        raise BadProblem(f"measure {measure}", "a row names it, and it is not given")

    def allows(self, *, job: int, option: int) -> bool:
        """Whether *job* may have *option* (or be deferred)."""
        if option == DEFERRED:
            return self.deferral_values is None or bool(np.isfinite(self.deferral_values[job]))
        if not 0 <= option < self.options:
            return False
        if self.eligible is not None and not self.eligible[job, option]:
            return False
        if self.pinned is not None and self.pinned[job] not in (DEFERRED, option):
            return False
        return self.min_quality is None or (
            self.value(job=job, option=option) >= self.min_quality[job]
        )
