"""Prices from a sample of jobs: Newton's method on the dual with its corners rounded.

The dual, as a function of the prices, is a sum of maxima: convex, with corners.  Each
maximum is softened (`log sum exp`), which gives it a slope and a curvature, and Newton's
method then needs a dozen steps whatever the number of rows or their units.  The softening
is taken back in stages.  Prices that are right for a sample are nearly right for all.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scheduler.optimise import kernels
from scheduler.optimise.columns import Subset
from scheduler.optimise.kernels import Floats, Wholes
from scheduler.optimise.rows import Rows

STEPS_PER_STAGE = 12
COOLING = 0.2
"""From stage to stage, what is left of the softening."""

ROUGHLY, SETTLED = 0.03, 0.003
"""A stage, and the last one, ends when no priced row is off its bound by more than this part."""

TRIALS = 8

THINNED, THINNED_FROM = 4, 1024
"""The first stages need the prices' order of magnitude: a part of the sample will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some jobs, how many each stands for, and the rows in units in which all are alike.

    Attributes:
        subset: the jobs.
        copies: (s,) float64.
        rows, own: the rows, and the objective's own prices as a table.
        scales: (rows,) what counts as much of a row: its bound, or what is mostly used.
        worth: what counts as much of the objective.
        spread: how far a job's options mostly lie apart: where the softening starts.
    """

    subset: Subset
    copies: Floats
    rows: Rows
    own: Floats
    scales: Floats
    worth: float
    spread: float
    begins: Wholes
    entries: Wholes
    weights: Floats

    @classmethod
    def of(
        cls,
        subset: Subset,
        *,
        copies: Floats,
        rows: Rows,
        own: Floats,
        scales: Floats,
        worth: float,
    ) -> "Sample":
        """*subset*, with the rows sorted so that a job finds its own at once.

        *worth* is what all jobs are worth at no price; it may be nothing, as where waiting
        costs least, and what the choices of all jobs differ by counts then.  Where they do not
        differ either, as where each job has one option, any size will do that is not tiny:
        divided by that, rounding would look like curvature.
        """
        begins, entries, part = rows.by_place()
        distances = apart(subset, own)
        worth = max(worth, float(copies @ distances)) or 1.0
        typical = float(np.median(distances)) or float(distances.mean())
        return cls(
            subset=subset,
            copies=copies,
            rows=rows,
            own=own,
            scales=scales,
            worth=worth,
            spread=typical or worth,
            begins=begins,
            entries=entries,
            weights=rows.weight[part] / scales[rows.row[part]],
        )

    def thinned(self) -> "Sample":
        """One in `THINNED` of these jobs, each for as many more; all of them where they are few."""
        if len(self.copies) < THINNED_FROM:
            return self
        subset, some = self.subset, slice(None, None, THINNED)
        return replace(
            self,
            subset=replace(
                subset,
                jobs=subset.jobs[some],
                scores=subset.scores[some],
                amounts=np.ascontiguousarray(subset.amounts[:, some]),
                groups=subset.groups[some].copy(),
                deferral=subset.deferral[some].copy(),
            ),
            copies=self.copies[some] * (self.copies.sum() / self.copies[some].sum()),
        )

    def soften(self, parts: Floats, warmth: float) -> tuple[float, Floats, Floats]:
        """The softened dual at *parts*, prices as parts of `worth` for a whole scale.

        Returns its value (in parts of `worth`), slope and curvature.
        """
        rows, subset = self.rows, self.subset
        prices = parts * self.worth / self.scales
        table = rows.fold(prices) + self.own
        scores = subset.scores.copy()
        for k in range(len(table)):
            if table[k].any():
                kernels.charge(subset.amounts[k], table[k], subset.groups, scores)
        use = np.zeros(rows.count)
        curvature = np.zeros((rows.count, rows.count))
        jobs = kernels.smooth(
            scores,
            subset.deferral,
            self.copies,
            subset.amounts,
            subset.groups,
            self.begins,
            self.entries,
            self.weights,
            warmth,
            use,
            curvature,
        )
        bounds = np.array(rows.bounds, np.float64) / self.scales
        return jobs / self.worth + float(parts @ bounds), bounds - use, curvature * self.worth


def apart(subset: Subset, own: Floats) -> Floats:
    """(s,) how far each job's best and worst options lie apart, where nothing else costs."""
    scores = subset.scores.copy()
    for k in range(len(own)):
        if own[k].any():
            kernels.charge(subset.amounts[k], own[k], subset.groups, scores)
    known = np.isfinite(scores)
    top = np.where(known, scores, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(known, scores, np.inf).min(axis=1, initial=np.inf)
    waiting = np.isfinite(subset.deferral)
    top = np.maximum(top, np.where(waiting, subset.deferral, -np.inf))
    low = np.minimum(low, np.where(waiting, subset.deferral, np.inf))
    return np.where(top > low, top - low, 0.0)


def free_rows(parts: Floats, slope: Floats) -> NDArray[np.bool_]:
    """Rows whose price may move: it is above zero, or would rise from there."""
    return (parts > 0) | (slope < 0)


def newton_step(parts: Floats, slope: Floats, curvature: Floats, damping: float) -> Floats:
    """Where Newton's method goes from *parts*; prices that rest at zero stay."""
    step = np.zeros_like(parts)
    free = np.flatnonzero(free_rows(parts, slope))
    matrix = curvature[np.ix_(free, free)]
    diagonal = np.diagonal(matrix)
    floor = 1e-9 + 1e-6 * float(diagonal.max(initial=0.0))
    matrix = matrix + np.diag(damping * diagonal + floor)
    step[free] = np.linalg.solve(matrix, -slope[free])
    return step


def settle(sample: Sample, parts: Floats, *, coldest: float) -> Floats:
    """Prices (as parts) at which the sample uses what it may, softened by *coldest*."""
    rough = sample.thinned()
    warmth = max(coldest, 0.25 * sample.spread)
    while warmth > coldest:
        parts = _stage(rough, parts, warmth, ROUGHLY)
        warmth = max(coldest, warmth * COOLING)
    return _stage(sample, parts, coldest, SETTLED)


def _stage(sample: Sample, parts: Floats, warmth: float, tolerance: float) -> Floats:
    damping = 1e-6
    value, slope, curvature = sample.soften(parts, warmth)
    for _ in range(STEPS_PER_STAGE):
        free = free_rows(parts, slope)
        if np.abs(slope[free]).max(initial=0.0) < tolerance:
            break
        for _ in range(TRIALS):
            step = newton_step(parts, slope, curvature, damping)
            there = np.maximum(0.0, parts + step)
            ahead = sample.soften(there, warmth)
            if ahead[0] < value + 0.1 * min(0.0, float(slope @ (there - parts))):
                damping = max(1e-9, damping * 0.1)
                parts, (value, slope, curvature) = there, ahead
                break
            damping = max(1e-3, damping * 10)
        else:
            break
    return parts
