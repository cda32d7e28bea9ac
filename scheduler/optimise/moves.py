"""The loops of the search for whole numbers, compiled: one job moves to another option.

A state is each job's option and each part's exact use (int64).  A row's excess follows from
its parts; whether it is above zero is exact, whatever their size.
Option m, one past the last, stands for deferral.
"""

import numpy as np

from scheduler.optimise.compiling import compiled
from scheduler.optimise.kernels import Floats, Indices, Wholes

IN_64_BITS = 2.0**62
PATIENCE = 15_000
"""After so many moves in a row that break some row, the rest are dearer and would, too."""


@compiled
def excess_of(
    row: int, part_begins: Wholes, part_weights: Wholes, bounds: Wholes, use: Wholes
) -> float:
    """By how much *row* is broken; its sign is exact, and so is zero.

    A share's two terms are a million times its use, and soon beyond what float64 or int64 hold.
    But integers wrap: of terms too large for 64 bits, the sum is right if it fits itself.
    """
    total = -np.float64(bounds[row])
    wrapped = -np.int64(bounds[row])
    for p in range(part_begins[row], part_begins[row + 1]):
        total += np.float64(part_weights[p]) * np.float64(use[p])
        wrapped += part_weights[p] * use[p]
    return np.float64(wrapped) if abs(total) < IN_64_BITS else total


@compiled
def shift_of(
    i: int,
    option: int,
    sign: int,
    groups: Indices,
    amounts: Wholes,
    begins: Wholes,
    entries: Wholes,
    shift: Wholes,
) -> None:
    """Add to *shift* (parts,) what job *i* uses under *option*, times *sign*."""
    if option == amounts.shape[2]:
        return
    for line in (np.int64(groups[i]), np.int64(begins.shape[0] - 1)):
        for e in range(begins[line, option], begins[line, option + 1]):
            shift[entries[e, 2]] += sign * amounts[entries[e, 1], i, option]


@compiled
def violation_after(
    i: int,
    source: int,
    target: int,
    groups: Indices,
    amounts: Wholes,
    begins: Wholes,
    entries: Wholes,
    part_begins: Wholes,
    part_weights: Wholes,
    bounds: Wholes,
    scales: Floats,
    use: Wholes,
    excess: Floats,
    seen: Wholes,
) -> tuple[float, float]:
    """How much all violations would grow, and the worst touched row's excess, after a move.

    *use* is changed on the way and put back; *seen* (rows,) is zeros, and is left as such.
    """
    shift_of(i, source, -1, groups, amounts, begins, entries, use)
    shift_of(i, target, 1, groups, amounts, begins, entries, use)
    growth = 0.0
    worst = -np.inf
    for option in (np.int64(source), np.int64(target)):
        if option == amounts.shape[2]:
            continue
        for line in (np.int64(groups[i]), np.int64(begins.shape[0] - 1)):
            for e in range(begins[line, option], begins[line, option + 1]):
                r = entries[e, 0]
                if seen[r] == 0:
                    seen[r] = 1
                    after = excess_of(r, part_begins, part_weights, bounds, use)
                    growth += (max(0.0, after) - max(0.0, excess[r])) / scales[r]
                    if after > 0.0 and after >= excess[r]:
                        worst = max(worst, after)
    for option in (np.int64(source), np.int64(target)):
        if option == amounts.shape[2]:
            continue
        for line in (np.int64(groups[i]), np.int64(begins.shape[0] - 1)):
            for e in range(begins[line, option], begins[line, option + 1]):
                seen[entries[e, 0]] = 0
    shift_of(i, target, -1, groups, amounts, begins, entries, use)
    shift_of(i, source, 1, groups, amounts, begins, entries, use)
    return growth, worst


@compiled
def meets_broken(
    i: int, option: int, groups: Indices, begins: Wholes, entries: Wholes, excess: Floats
) -> bool:
    """Whether any row that job *i* under *option* counts for is broken."""
    if option == begins.shape[1] - 1:
        return False
    for line in (np.int64(groups[i]), np.int64(begins.shape[0] - 1)):
        for e in range(begins[line, option], begins[line, option + 1]):
            if excess[entries[e, 0]] > 0.0:
                return True
    return False


@compiled
def rate_repairs(
    chosen: Indices,
    losses: Floats,
    groups: Indices,
    amounts: Wholes,
    begins: Wholes,
    entries: Wholes,
    part_begins: Wholes,
    part_weights: Wholes,
    bounds: Wholes,
    scales: Floats,
    use: Wholes,
    excess: Floats,
    rates: Floats,
) -> None:
    """Fill *rates* (s, m + 1) with the loss per unit of violation that a move would mend.

    Infinite where a move mends nothing.
    """
    seen = np.zeros(len(bounds), np.int64)
    for i in range(losses.shape[0]):
        leaving = meets_broken(i, chosen[i], groups, begins, entries, excess)
        for o in range(losses.shape[1]):
            rates[i, o] = np.inf
            if o == chosen[i] or losses[i, o] == np.inf:
                continue
            if not leaving and not meets_broken(i, o, groups, begins, entries, excess):
                continue
            growth, _ = violation_after(
                i, chosen[i], o, groups, amounts, begins, entries,
                part_begins, part_weights, bounds, scales, use, excess, seen,
            )  # fmt: skip
            if growth < 0.0:
                extra = losses[i, o] - losses[i, chosen[i]]
                # Where moves are free, the one that mends most goes first.
                rates[i, o] = (max(0.0, extra) + 1e-12) / -growth


@compiled
def sweep(
    job_of: Wholes,
    option_of: Wholes,
    repairing: bool,
    chosen: Indices,
    gains: Floats,
    rates: Floats,
    groups: Indices,
    amounts: Wholes,
    begins: Wholes,
    entries: Wholes,
    part_begins: Wholes,
    part_weights: Wholes,
    bounds: Wholes,
    scales: Floats,
    use: Wholes,
    excess: Floats,
) -> int:
    """Make the moves of a list that still help when their turn comes; how many were made.

    Repairing, a move must mend violations at no more than twice the loss it was rated at.
    Otherwise it must gain value (*gains*, (s, m + 1)) and break no row.
    """
    seen = np.zeros(len(bounds), np.int64)
    made = 0
    idle = 0
    for t in range(job_of.shape[0]):
        idle += 1
        if idle > PATIENCE and not repairing:
            break
        i, o = job_of[t], option_of[t]
        source = chosen[i]
        if source == o:
            continue
        if not repairing and gains[i, o] <= gains[i, source]:
            continue
        growth, worst = violation_after(
            i, source, o, groups, amounts, begins, entries,
            part_begins, part_weights, bounds, scales, use, excess, seen,
        )  # fmt: skip
        if repairing:
            if growth >= 0.0:
                continue
            extra = max(0.0, gains[i, o] - gains[i, source]) + 1e-12
            if extra > -growth * 2.0 * rates[i, o]:
                continue
        elif worst > 0.0:
            continue
        shift_of(i, source, -1, groups, amounts, begins, entries, use)
        shift_of(i, o, 1, groups, amounts, begins, entries, use)
        for option in (np.int64(source), np.int64(o)):
            if option == amounts.shape[2]:
                continue
            for line in (np.int64(groups[i]), np.int64(begins.shape[0] - 1)):
                for e in range(begins[line, option], begins[line, option + 1]):
                    r = entries[e, 0]
                    excess[r] = excess_of(r, part_begins, part_weights, bounds, use)
        chosen[i] = o
        made += 1
        idle = 0
        if repairing and excess.max() <= 0.0:
            break
    return made


@compiled
def shift_rows(
    job_of: Wholes,
    option_of: Wholes,
    chosen: Indices,
    groups: Indices,
    amounts: Wholes,
    begins: Wholes,
    entries: Wholes,
    part_weights: Wholes,
    shifts: Floats,
) -> None:
    """Fill *shifts* (moves, rows) with what each move would add to each row's sum."""
    for t in range(job_of.shape[0]):
        i = job_of[t]
        for option, sign in ((np.int64(chosen[i]), -1.0), (option_of[t], 1.0)):
            if option == amounts.shape[2]:
                continue
            for line in (np.int64(groups[i]), np.int64(begins.shape[0] - 1)):
                for e in range(begins[line, option], begins[line, option + 1]):
                    amount = np.float64(amounts[entries[e, 1], i, option])
                    shifts[t, entries[e, 0]] += sign * part_weights[entries[e, 2]] * amount


@compiled
def _loss_of_all(lost: float, left: Floats, prices: Floats) -> float:
    """The loss of moves for all jobs, with the price of the slack that they leave.

    Infinite if *left* (rows,), what is left of the slack, is broken anywhere.
    """
    total = lost
    for k in range(left.shape[0]):
        if left[k] < 0.0:
            return np.inf
        total += prices[k] * left[k]
    return total


@compiled
def _least_loss(lost: float, left: Floats, least: Floats, most: Floats, prices: Floats) -> float:
    """What is *lost* so far, with the price of the slack that the jobs ahead cannot use up.

    They add at least *least* and at most *most* (rows,) to what is used of *left* (rows,), and
    it is infinite if that cannot mend what is broken.
    """
    bound = lost
    for k in range(left.shape[0]):
        if left[k] - least[k] < 0.0:
            return np.inf
        bound += prices[k] * max(0.0, left[k] - most[k])
    return bound


@compiled
def search_core(
    begins: Wholes,
    losses: Floats,
    shifts: Floats,
    slack: Floats,
    prices: Floats,
    least_ahead: Floats,
    most_ahead: Floats,
    target: float,
    nodes_most: int,
    best_pick: Wholes,
) -> tuple[float, bool]:
    """Least loss of any set of moves, one per job at most, that leaves no row broken.

    The moves of job j are those from `begins[j]` to `begins[j + 1]`, by rising loss.  Depth
    first, and cut off where the loss so far, with the price of the slack that the moves
    ahead cannot use up, is not below *target*; or where they cannot mend what is broken.
    *least_ahead* and *most_ahead* (jobs + 1, rows): what jobs from here on can add to a row.
    Returns the least loss below *target* (else *target*), whose moves fill *best_pick*
    (-1: stays), and whether the search went through.
    """
    jobs = begins.shape[0] - 1
    rows = slack.shape[0]
    pick = np.full(jobs + 1, -2, np.int64)
    lost = np.zeros(jobs + 1)
    left = np.empty((jobs + 1, rows))
    left[0] = slack
    depth = 0
    nodes = 0
    while depth >= 0:
        if depth == jobs:
            total = _loss_of_all(lost[depth], left[depth], prices)
            if total < target:
                target = total
                best_pick[:] = pick[:jobs]
            depth -= 1
            continue
        if pick[depth] == -2:
            pick[depth] = -1
        elif pick[depth] == -1:
            pick[depth] = begins[depth]
        else:
            pick[depth] += 1
        move = pick[depth]
        nodes += 1
        if nodes > nodes_most:
            return target, False
        if move >= begins[depth + 1]:
            pick[depth] = -2
            depth -= 1
            continue
        loss = lost[depth] + (losses[move] if move >= 0 else 0.0)
        if loss >= target:
            pick[depth] = -2
            depth -= 1
            continue
        for k in range(rows):
            left[depth + 1, k] = left[depth, k] - (shifts[move, k] if move >= 0 else 0.0)
        least, most = least_ahead[depth + 1], most_ahead[depth + 1]
        if _least_loss(loss, left[depth + 1], least, most, prices) >= target:
            continue
        lost[depth + 1] = loss
        depth += 1
    return target, True
