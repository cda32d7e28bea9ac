"""The loops over jobs x options, compiled.

Each works on a chunk of jobs that stays in a core's cache.  Arrays: values (c, m) float32,
scores (c, m) float64, amounts (c, m) integers, groups (c,) int32, tables (g, m).  Sums of
floats run in job order within a chunk, so a result does not depend on who ran the chunk.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.optimise.compiling import compiled

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Wholes = NDArray[np.int64]
Indices = NDArray[np.int32]
Amounts = NDArray[Any]


@compiled
def first_not_finite(values: Singles) -> int:
    """First row of *values* that holds NaN or an infinity; -1 where none does."""
    for i in range(values.shape[0]):
        total = np.float32(0.0)
        for o in range(values.shape[1]):
            total += values[i, o] * np.float32(0.0)
        if total != np.float32(0.0):
            return i
    return -1


@compiled
def extremes(amounts: Amounts) -> tuple[np.int64, np.int64]:
    """Least and greatest of *amounts*."""
    least = np.int64(amounts[0, 0])
    greatest = least
    for i in range(amounts.shape[0]):
        for o in range(amounts.shape[1]):
            least = min(least, np.int64(amounts[i, o]))
            greatest = max(greatest, np.int64(amounts[i, o]))
    return least, greatest


@compiled
def multiply(features: Singles, heads: Singles, values: Singles) -> None:
    """Fill *values* with features . heads, each sum in the features' order."""
    count = features.shape[1]
    whole = count - count % 4
    for i in range(features.shape[0]):
        for o in range(heads.shape[1]):
            values[i, o] = np.float32(0.0)
        # Four at a time, so that a sum is fetched and stored once for four products.
        for f in range(0, whole, 4):
            a, b = features[i, f], features[i, f + 1]
            c, d = features[i, f + 2], features[i, f + 3]
            for o in range(heads.shape[1]):
                total = values[i, o] + a * heads[f, o]
                total = total + b * heads[f + 1, o]
                total = total + c * heads[f + 2, o]
                values[i, o] = total + d * heads[f + 3, o]
        for f in range(whole, count):
            a = features[i, f]
            for o in range(heads.shape[1]):
                values[i, o] += a * heads[f, o]


@compiled
def levy(counts: Amounts, rates: Floats, base: Floats, divisor: float, amounts: Wholes) -> None:
    """Fill *amounts* with a tariff's: ceil((base + counts . rates) / divisor).

    All are whole numbers below 2**53, which float64 holds, multiplies and adds exactly.
    """
    reciprocal = 1.0 / divisor
    options = rates.shape[1]
    sums = np.empty(options)
    for i in range(counts.shape[0]):
        for o in range(options):
            sums[o] = base[o]
        for k in range(counts.shape[1]):
            count = np.float64(counts[i, k])
            for o in range(options):
                sums[o] += count * rates[k, o]
        for o in range(options):
            # The product may be off by one either way; what is left over tells.
            whole = np.floor(sums[o] * reciprocal)
            rest = sums[o] - whole * divisor
            up = 1.0 if rest > 0.0 else 0.0
            more = 1.0 if rest > divisor else 0.0
            less = 1.0 if rest <= -divisor else 0.0
            amounts[i, o] = np.int64(whole + up + more - less)


@compiled
def in_ppm(values: Singles, amounts: Wholes) -> None:
    """Fill *amounts* with *values* in whole parts per million, to the nearest."""
    for i in range(values.shape[0]):
        for o in range(values.shape[1]):
            amounts[i, o] = np.int64(np.rint(np.float64(values[i, o]) * 1e6))


@compiled
def start(values: Singles, weights: Floats, offsets: Floats, scores: Floats) -> None:
    """Fill *scores* with what each option is worth before anything is charged for."""
    for i in range(values.shape[0]):
        for o in range(values.shape[1]):
            scores[i, o] = weights[i] * values[i, o] + offsets[i]


@compiled
def start_charged(
    values: Singles,
    weights: Floats,
    offsets: Floats,
    amounts: Amounts,
    prices: Floats,
    groups: Indices,
    scores: Floats,
) -> None:
    """`start` and a first `charge` in one go: the scores are written once."""
    for i in range(values.shape[0]):
        g = groups[i]
        for o in range(values.shape[1]):
            worth = weights[i] * values[i, o] + offsets[i]
            scores[i, o] = worth - prices[g, o] * amounts[i, o]


@compiled
def charge(amounts: Amounts, prices: Floats, groups: Indices, scores: Floats) -> None:
    """Subtract price x amount from *scores*."""
    for i in range(scores.shape[0]):
        g = groups[i]
        for o in range(scores.shape[1]):
            scores[i, o] -= prices[g, o] * amounts[i, o]


@compiled
def bar(closed: NDArray[np.bool_], groups: Indices, scores: Floats) -> None:
    """Rule out options that are closed to a group."""
    for i in range(scores.shape[0]):
        for o in range(scores.shape[1]):
            if closed[groups[i], o]:
                scores[i, o] = -np.inf


@compiled
def bar_ineligible(eligible: NDArray[np.bool_], scores: Floats) -> None:
    """Rule out options that a job may not have."""
    for i in range(scores.shape[0]):
        for o in range(scores.shape[1]):
            if not eligible[i, o]:
                scores[i, o] = -np.inf


@compiled
def bar_unpinned(pinned: Indices, scores: Floats) -> None:
    """Rule out every option of a pinned job but its own."""
    for i in range(scores.shape[0]):
        if pinned[i] >= 0:
            for o in range(scores.shape[1]):
                if o != pinned[i]:
                    scores[i, o] = -np.inf


@compiled
def bar_poor(values: Singles, floors: Singles, scores: Floats) -> None:
    """Rule out options whose value is below the job's floor."""
    for i in range(scores.shape[0]):
        for o in range(scores.shape[1]):
            if values[i, o] < floors[i]:
                scores[i, o] = -np.inf


@compiled
def choose(
    scores: Floats, deferral: Floats, choice: Indices, regret: Singles
) -> tuple[float, float, int]:
    """Best option of each job: fills *choice*, and its lead over the next best.

    Ties go to an option rather than to deferral, and to the option that comes first.
    Returns the sum of best scores, of their sizes, and how many jobs have no way at all.
    """
    total = 0.0
    size = 0.0
    stuck = 0
    for i in range(scores.shape[0]):
        top = -1
        first = -np.inf
        second = -np.inf
        for o in range(scores.shape[1]):
            # Selections and no branches: which option wins cannot be foreseen, and a
            # processor that guesses wrong twice a job takes three times as long.
            score = scores[i, o]
            wins = score > first
            second = max(second, first if wins else score)
            top = o if wins else top
            first = max(first, score)
        later = deferral[i]
        if later > first:
            top, first, second = -1, later, first
        elif later > second:
            second = later
        known = first > -np.inf
        choice[i] = top
        regret[i] = first - second if known else 0.0
        total += first if known else 0.0
        size += abs(first) if known else 0.0
        stuck += 0 if known else 1
    return total, size, stuck


@compiled
def tally(choice: Indices, amounts: Amounts, groups: Indices, used: Wholes) -> None:
    """Add what *choice* uses of a measure to *used*, by group and option."""
    for i in range(choice.shape[0]):
        if choice[i] >= 0:
            used[groups[i], choice[i]] += amounts[i, choice[i]]


@compiled
def tally_ones(choice: Indices, groups: Indices, used: Wholes) -> None:
    """Add how many jobs have each option to *used*, by group and option."""
    for i in range(choice.shape[0]):
        if choice[i] >= 0:
            used[groups[i], choice[i]] += 1


@compiled
def worth(choice: Indices, scores: Floats, deferral: Floats) -> float:
    """Sum of the scores of *choice*."""
    total = 0.0
    for i in range(choice.shape[0]):
        total += scores[i, choice[i]] if choice[i] >= 0 else deferral[i]
    return total


@compiled
def runners_up(
    scores: Floats,
    deferral: Floats,
    choice: Indices,
    options: NDArray[np.int16],
    regret: Singles,
) -> None:
    """Fill the next best *options* of each job with their *regret*, best first."""
    wanted = options.shape[1]
    for i in range(scores.shape[0]):
        own = scores[i, choice[i]] if choice[i] >= 0 else deferral[i]
        for a in range(wanted):
            options[i, a] = -1
            regret[i, a] = np.inf
        for o in range(scores.shape[1]):
            if o == choice[i] or scores[i, o] == -np.inf:
                continue
            lost = np.float32(own - scores[i, o])
            a = wanted
            while a > 0 and lost < regret[i, a - 1]:
                if a < wanted:
                    options[i, a] = options[i, a - 1]
                    regret[i, a] = regret[i, a - 1]
                a -= 1
            if a < wanted:
                options[i, a] = o
                regret[i, a] = lost


@compiled
def smooth(
    scores: Floats,
    deferral: Floats,
    copies: Floats,
    amounts: Wholes,
    groups: Indices,
    begins: Wholes,
    entries: Wholes,
    weights: Floats,
    warmth: float,
    use: Floats,
    curvature: Floats,
) -> float:
    """The dual's jobs with every maximum softened: `warmth x log sum exp(score / warmth)`.

    Adds the rows' expected use to *use* (rows,), and its rate of change with the prices
    to *curvature* (rows, rows).  *begins* (groups + 1, options + 1) points into *entries*
    (row, measure), which *weights* goes with; *copies* is how many jobs each one stands for.
    """
    total = 0.0
    options = scores.shape[1]
    every = np.int64(begins.shape[0] - 1)
    chances = np.empty(options)
    mean = np.zeros(use.shape[0])
    for i in range(scores.shape[0]):
        top = deferral[i]
        for o in range(options):
            top = max(top, scores[i, o])
        if top == -np.inf:
            continue
        mass = np.exp((deferral[i] - top) / warmth)
        for o in range(options):
            far = (scores[i, o] - top) / warmth
            chances[o] = np.exp(far) if far > -16.0 else 0.0
            mass += chances[o]
        total += copies[i] * (top + warmth * np.log(mass))
        steep = copies[i] / warmth
        for o in range(options):
            chance = chances[o] / mass
            if chance < 1e-6:
                continue
            for line in (np.int64(groups[i]), every):
                for e in range(begins[line, o], begins[line, o + 1]):
                    share = chance * weights[e] * amounts[entries[e, 1], i, o]
                    mean[entries[e, 0]] += share
                    for other in (np.int64(groups[i]), every):
                        for f in range(begins[other, o], begins[other, o + 1]):
                            curvature[entries[e, 0], entries[f, 0]] += (
                                steep * share * weights[f] * amounts[entries[f, 1], i, o]
                            )
        touched = np.flatnonzero(mean)
        for r in touched:
            use[r] += copies[i] * mean[r]
            for q in touched:
                curvature[r, q] -= steep * mean[r] * mean[q]
        for r in touched:
            mean[r] = 0.0
    return total
