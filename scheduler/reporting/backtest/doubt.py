"""What is not known of the test items, and how likely it makes a plan a bad one.

Training items say how good each model is; on the test items it may be better or worse, for
they are few, of groups never seen, or unlike the training items.  How far off such things were
on held-back items says how far off they may be again.  From that, outcomes are drawn, and a plan
is tried on them against the best division of the work between two models at its own cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.reporting.backtest.simple import best_mixtures

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Choice = NDArray[np.int32]

DRAWS: Final = 400
GROUP_SPREAD: Final = 0.1
"""By how much two models' difference is thought to vary from group to group before any is seen."""
GROUP_WORTH: Final = 2.0
"""How many groups that thought is worth."""
LEAST_GROUPS: Final = 3
"""With fewer groups, nothing is known of how groups differ but that thought."""
LEAST_VARIANCE: Final = 1e-6
LEAST_PRICE_SPREAD: Final = 1e-6
"""Log-prices that differ by less are one price: a line through roundings is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What held-back training items showed: d items and m models.

    Attributes:
        off: (d, m) by how much each outcome differed from its prediction, NaN where unknown.
        counts: (m,) outcomes that each model's mean was learned from.
        groups: (d,) what an item shares with others; None where each stands for itself.
    """

    off: Floats
    counts: Floats
    groups: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What is not known of t test items and m models, as covariances between the models.

    Attributes:
        quality: (t, m) as predicted, with the models' means drawn together.
        item: of single outcomes around their predictions.
        mean: of the models' means.
        group: of the models' means from group to group; groups: (t,) each item's, from 0 up.
        freedom: how many groups' worth of knowledge is behind `group`; infinite without groups.
        slope: of what an item more like the test items by one brings; ahead: (t,) by how much
            each is so, compared with the training items.
        caution: (m,) standard error of what each model is better by than the cheapest.
    """

    quality: Floats
    item: Floats
    mean: Floats
    group: Floats
    groups: Places
    freedom: float
    slope: Floats
    ahead: Floats
    caution: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How outcomes of m models vary, as covariances between the models.

    Attributes:
        item: of single outcomes around their predictions.
        group: of the models' means from group to group, with `freedom` groups' worth of
            knowledge behind it; infinite without groups.
        mean: of the models' means over all items seen.
    """

    item: Floats
    group: Floats
    freedom: float
    mean: Floats

    def caution(self, cheapest: int) -> Floats:
        """(m,) standard error of what each model is better by than the *cheapest*."""
        own = np.diag(self.mean)
        apart = own + own[cheapest] - 2 * self.mean[cheapest]
        return np.asarray(np.sqrt(np.maximum(apart, 0.0)))


def spread(seen: Seen, *, thought: float | None = None) -> Spread:
    """How outcomes vary by what was *seen*.

    Args:
        thought: the part of single outcomes' covariance that groups are thought to have before
            any is seen; without it, models are thought to differ by `GROUP_SPREAD`.
    """
    known = ~np.isnan(seen.off)
    off = np.where(known, seen.off, 0.0)
    together = known.T.astype(np.float64) @ known
    item = _positive(off.T @ off / np.maximum(together, 1), least=LEAST_VARIANCE)
    counts = np.maximum(seen.counts, 1)
    mean = item / np.sqrt(np.outer(counts, counts))
    group, freedom = np.zeros_like(item), np.inf
    if seen.groups is not None:
        _, at = np.unique(np.asarray(seen.groups), return_inverse=True)
        before = np.eye(len(item)) * GROUP_SPREAD**2 / 2 if thought is None else thought * item
        group, freedom = _between(off, known, at, item, before)
        sizes = np.bincount(at)
        mean = mean + group * float((sizes**2).sum() / sizes.sum() ** 2)
    return Spread(item=item, group=group, freedom=freedom, mean=mean)


def doubt(
    seen: Seen,
    quality: Floats,
    cost_usd: Floats,
    *,
    like_test: tuple[Floats, Floats],
    groups: Sequence[str] | None,
) -> Doubt:
    """What *seen* leaves in doubt about items of this *quality* and *cost_usd* (t, m).

    Args:
        like_test: (d,) and (t,) how like the test items those seen and those to plan are.
        groups: (t,) of the test items, none of them seen; None where there are no groups.
    """
    found = spread(seen)
    slope, ahead = np.zeros_like(found.item), np.zeros(len(quality))
    at = np.zeros(len(quality), np.int64)
    if groups is not None:
        at = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    else:
        slope, ahead = _extrapolated(seen, found.item, *like_test)
    each_usd = cost_usd.mean(0)
    means, mean = _drawn_together(quality.mean(0), found.mean, each_usd)
    return Doubt(
        quality=quality + means - quality.mean(0),
        item=found.item,
        mean=mean,
        group=found.group,
        groups=at,
        freedom=found.freedom,
        slope=slope,
        ahead=ahead,
        caution=found.caution(int(np.nanargmin(each_usd))),
    )


def _positive(matrix: Floats, *, least: float = 0.0) -> Floats:
    """The nearest matrix that is a covariance."""
    size, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((axes * np.maximum(size, least)) @ axes.T)


def _between(
    off: Floats, known: NDArray[np.bool_], groups: Places, item: Floats, thought: Floats
) -> tuple[Floats, float]:
    """Covariance of the models' means from group to group, and the groups' worth behind it.

    Args:
        thought: what it is thought to be before any group is seen.
    """
    count = int(groups.max()) + 1
    if count < LEAST_GROUPS:
        return thought, GROUP_WORTH
    total, seen = np.zeros((count, off.shape[1])), np.zeros((count, off.shape[1]))
    np.add.at(total, groups, off)
    np.add.at(seen, groups, known.astype(np.float64))
    has = seen > 0
    means = total / np.maximum(seen, 1)
    means = np.where(has, means - means.sum(0) / np.maximum(has.sum(0), 1), 0.0)
    # Of the spread that groups' means have, this much is single outcomes'.
    chance = item * float(np.mean(1 / np.maximum(seen.mean(1), 1)))
    found = _positive(means.T @ means / (count - 1) - chance)
    freedom = GROUP_WORTH + count - 1
    return (GROUP_WORTH * thought + (count - 1) * found) / freedom, freedom


def _extrapolated(seen: Seen, item: Floats, ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """How outcomes may change from training to test items, and how far each of these is away.

    Among the training items, some are more like the test items than others.  What that makes
    of the outcomes, and how badly it is known, is carried on to the test items.
    """
    away, ahead = ours - ours.mean(), theirs - ours.mean()
    square = float(away @ away)
    if ahead.mean() <= 0 or square <= 0:
        # Told apart by nothing: the split is as good as by lot.
        return np.zeros_like(item), np.zeros_like(ahead)
    known = ~np.isnan(seen.off)
    off = np.where(known, seen.off, 0.0)
    found = (away @ off) / np.maximum((known * away[:, None] ** 2).sum(0), 1e-12)
    return np.outer(found, found) + item / square, ahead


def _drawn_together(means: Floats, error: Floats, cost_usd: Floats) -> tuple[Floats, Floats]:
    """The models' *means* without some of their luck, and the covariance of what is left.

    Models are thought to lie around a line in the logarithm of their cost, as far from it as is
    likeliest (empirical Bayes, restricted likelihood): the best of many owes more to luck.
    """
    usable = np.isfinite(cost_usd)
    y, noise = means[usable], error[np.ix_(usable, usable)]
    price = np.log(np.maximum(cost_usd[usable], 1e-12))
    line = np.ones((len(y), 1))
    if len(y) > 2 and price.std() > LEAST_PRICE_SPREAD:
        line = np.stack([np.ones(len(y)), (price - price.mean()) / price.std()], 1)
    best = None
    for spread in np.geomspace(1e-5, 0.3, 40):
        inverse = np.linalg.inv(noise + spread * np.eye(len(y)))
        bend = line.T @ inverse @ line
        on_line = line @ np.linalg.solve(bend, line.T @ inverse @ y)
        apart = y - on_line
        size = np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(bend)[1]
        worth = size - apart @ inverse @ apart
        if best is None or worth > best[0]:
            best = (worth, spread, inverse, bend, on_line)
    assert best is not None
    _, spread, inverse, bend, on_line = best
    kept = spread * inverse
    rest = line - kept @ line
    left = spread * (np.eye(len(y)) - kept) + rest @ np.linalg.solve(bend, rest.T)
    found, covariance = means.copy(), np.zeros_like(error)
    found[usable] = on_line + kept @ (y - on_line)
    covariance[np.ix_(usable, usable)] = left
    return found, covariance


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What p plans may bring.

    Attributes:
        worse: (p,) chance of being significantly worse than the best division of the work
            between two models at the plan's own cost, found in hindsight.
        quality, cost_usd: (p,) as expected; the cost of all items together.
    """

    worse: Floats
    quality: Floats
    cost_usd: Floats


def prospects(doubts: Doubt, plans: Sequence[Choice], cost_usd: Floats, *, seed: int) -> Prospect:
    """What each of *plans* may bring on the test items, whose expected costs are (t, m).

    "Significantly" is by more than two standard errors over items, whatever their groups: they
    are what the plan is judged on.
    """
    usable = np.flatnonzero(np.isfinite(cost_usd).all(0))
    quality, cost = doubts.quality[:, usable], cost_usd[:, usable]
    item, mean, group, slope = (
        part[np.ix_(usable, usable)]
        for part in (doubts.item, doubts.mean, doubts.group, doubts.slope)
    )
    count, models = quality.shape
    column = np.full(cost_usd.shape[1], -1)
    column[usable] = np.arange(models)
    share = _Shares.of(plans, column, quality, cost, doubts)
    own, variance = share.model, np.diag(item)
    # Outcomes of a plan's items vary as the models' means do, and by which items it chose.
    rest = own @ variance - np.einsum("pi,ij,pj->p", own, item, own)
    rest = np.sqrt(np.maximum(rest, 0) / count)
    sizes = np.bincount(doubts.groups) / count
    means, each_usd = quality.mean(0), cost.mean(0)
    roots = [_root(part) for part in (item / count, mean, group, slope)]
    rng = np.random.default_rng(seed)
    worse = np.zeros(len(plans))
    for _ in range(DRAWS):
        freedom = doubts.freedom
        scale = np.sqrt(freedom / rng.chisquare(freedom)) if np.isfinite(freedom) else 1.0
        luck, common = (rng.standard_normal(models) @ root for root in roots[:2])
        moved = scale * (common + rng.standard_normal((len(sizes), models)) @ roots[2])
        turn = rng.standard_normal(models) @ roots[3]
        got = share.quality + own @ luck + share.ahead @ turn + rest * rng.standard_normal()
        got = got + np.einsum("pgm,gm->p", share.group, moved)
        single = means + luck + sizes @ moved + doubts.ahead.mean() * turn
        value, simple = best_mixtures(single, each_usd, share.cost_usd)
        spread = own @ variance - 2 * np.einsum("pi,ij,pj->p", own, item, simple)
        spread = spread + np.einsum("pi,ij,pj->p", simple, item, simple)
        error = np.maximum(np.sqrt(np.maximum(spread, 0) / count), 1 / count)
        worse += got - value < -2 * error
    return Prospect(worse=worse / DRAWS, quality=share.quality, cost_usd=share.cost_usd * count)


def _root(covariance: Floats) -> Floats:
    """(m, m) by which standard normal rows become rows of this *covariance*."""
    size, axes = np.linalg.eigh(covariance)
    return np.asarray((axes * np.sqrt(np.maximum(size, 0))).T)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    """What share of all t items each of p plans gives to each of m models.

    Attributes:
        model: (p, m); group: (p, groups, m) the same by group.
        ahead: (p, m) each share weighted with how far its items are ahead.
        quality, cost_usd: (p,) expected means over all items; a deferred one brings nothing.
    """

    model: Floats
    group: Floats
    ahead: Floats
    quality: Floats
    cost_usd: Floats

    @staticmethod
    def of(
        plans: Sequence[Choice], column: Places, quality: Floats, cost: Floats, doubts: Doubt
    ) -> "_Shares":
        count, models = quality.shape
        groups = int(doubts.groups.max()) + 1
        group = np.zeros((len(plans), groups, models))
        ahead = np.zeros((len(plans), models))
        expected, usd = np.zeros(len(plans)), np.zeros(len(plans))
        for at, plan in enumerate(plans):
            items = np.flatnonzero(plan >= 0)
            model = column[plan[items]]
            cell = doubts.groups[items] * models + model
            group[at] = np.bincount(cell, minlength=groups * models).reshape(groups, models)
            ahead[at] = np.bincount(model, weights=doubts.ahead[items], minlength=models)
            expected[at], usd[at] = quality[items, model].sum(), cost[items, model].sum()
        return _Shares(
            model=group.sum(1) / count,
            group=group / count,
            ahead=ahead / count,
            quality=expected / count,
            cost_usd=usd / count,
        )
