"""Backtests on made-up outcomes of many kinds: `python -m benchmarks.stress`.

Each world hides another trap: difficulty that is not in the texts, templates never seen,
models that are all alike, a dear model that is better on long texts alone.  Prints one JSON line
per world: at how many budgets the plan is worse than the best mixture of two single models at its
own cost (found in hindsight, by more than two standard errors).  Beside it stands how often the
mixture that training outcomes name is worse than hindsight's, which is what the simple thing can
do in truth, and what would be left of the calibration error if every model's mean were known.
"""

import argparse
import json
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.logistic import logit, sigmoid
from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.headline import OVERSPENT
from scheduler.reporting.backtest.run import SeedPlans, Settings, run_seeds
from scheduler.reporting.backtest.scores import calibration, mixture, singles
from scheduler.reporting.backtest.summary import SeedSummary, summarized

Floats = NDArray[np.float64]

WORDS: Final = np.array([
    a + b + c for a in ("ba", "ko", "mi", "ru", "te", "sol", "ven")
    for b in ("la", "ni", "po", "sta", "gre", "du", "fen")
    for c in ("r", "m", "tion", "s", "k", "", "ly", "de")
])  # fmt: skip


SPENT_LEAST: Final = 0.95
"""What part of a budget a plan must be able to spend to say anything of how budgets are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What makes up outcomes.

    Attributes:
        told: share of an item's difficulty (in logits, standard deviation 1.5) that its words tell.
        own: the same of each model's own likes and dislikes.
        spread: standard deviation of the models' abilities; rise: how they grow with log-price.
        groups: how many templates; 0: none.  common: how much harder a template is for all models,
            apart: for one model.
        verbose: standard deviation of a template's length of answers (in logs) for all models,
            chatty: for one model; without the first, answers are of one length.
        long: what the dearest model gains per standard deviation of log-length.
        graded: scores from 0 to 1, and not one of the two.
        untold: the split keeps templates apart, and no column says so.
    """

    items: int = 600
    models: int = 8
    ratio: float = 100.0
    told: float = 0.5
    own: float = 0.5
    spread: float = 0.5
    rise: float = 1.0
    groups: int = 0
    common: float = 0.0
    apart: float = 0.0
    verbose: float = 0.0
    chatty: float = 0.0
    long: float = 0.0
    tail: float = 0.5
    missing: float = 0.0
    graded: bool = False
    untold: bool = False
    split: str = "random"


TASKS: Final = World(items=1000, groups=10, common=0.5, apart=0.5, verbose=0.8, chatty=0.4)
"""A mixture of tasks: each asks for answers of another length."""

WORLDS: Final[dict[str, World]] = {
    "told": World(),
    "silent": World(told=0.0, own=0.0),
    "alike": World(told=0.0, own=0.0, spread=0.02, rise=0.0),
    "many": World(models=100, told=0.2, spread=0.3, rise=0.3, items=400),
    "two": World(models=2, told=0.3),
    "tiny": World(items=100, models=6),
    "long": World(told=0.0, own=0.0, long=1.0, tail=1.0, ratio=20),
    "short": World(told=0.0, own=0.0, long=-1.0, tail=1.0, ratio=20),
    "graded": World(graded=True, told=0.3),
    "gaps": World(missing=0.4),
    "templates": World(groups=40, common=0.5, apart=0.3, split="group:template"),
    "few templates": World(groups=6, common=0.7, apart=0.5, split="group:template"),
    "two classes": World(groups=2, common=0.5, apart=1.0, split="group:template"),
    "unlike": World(groups=12, told=0.2, apart=1.0, split="group:template", ratio=1000),
    "tasks": TASKS,
    "unseen tasks": replace(TASKS, groups=40, split="group:template"),
    "few unseen tasks": replace(TASKS, split="group:template"),
    "two unseen tasks": replace(TASKS, groups=4, split="group:template"),
    "untold templates": World(groups=40, common=0.5, apart=0.3, untold=True, split="column:side"),
    "untold few": World(groups=6, common=0.7, apart=0.5, untold=True, split="column:side"),
    "untold classes": World(groups=2, common=0.5, apart=1.0, untold=True, split="column:side"),
    "untold unlike": World(
        groups=12, told=0.2, apart=1.0, untold=True, split="column:side", ratio=1000
    ),
}


def made(world: World, *, seed: int) -> Outcomes:
    """Outcomes of *world*."""
    rng = np.random.default_rng(seed)
    n, m = world.items, world.models
    template = rng.integers(0, max(1, world.groups), n)
    length = np.maximum(4, np.exp(rng.normal(3.2, world.tail, n))).astype(int)
    topics = rng.dirichlet(np.full(len(WORDS), 0.02), 12)
    # A template has words of its own beside what its items are about.
    stamp = rng.dirichlet(np.full(len(WORDS), 0.02), max(1, world.groups))
    topic = rng.integers(0, 12, n)
    texts, counts = [], np.zeros((n, len(WORDS)))
    for at in range(n):
        chance = topics[topic[at]] if not world.groups else (
            0.5 * topics[topic[at]] + 0.5 * stamp[template[at]])  # fmt: skip
        drawn = rng.choice(len(WORDS), min(length[at], 600), p=chance)
        texts.append(" ".join(WORDS[drawn].tolist()))
        counts[at] = np.bincount(drawn, minlength=len(WORDS)) / len(drawn)

    def standard(x: Floats) -> Floats:
        return np.asarray((x - x.mean(0)) / (x.std(0) + 1e-9))

    hard = standard(np.sqrt(counts) @ rng.normal(0, 1, len(WORDS)))
    likes = standard(np.sqrt(counts) @ rng.normal(0, 1, (len(WORDS), m)))
    price = np.geomspace(1, world.ratio, m) * np.exp(rng.normal(0, 0.2, m))
    ability = rng.normal(0.8, world.spread, m) + world.rise * np.linspace(-0.5, 0.5, m)
    rank = np.linspace(0, 1, m)
    told, untold = np.sqrt(world.told), np.sqrt(1 - world.told)
    ease = 1.5 * (told * hard + untold * rng.normal(0, 1, n))
    logits = ability[None, :] + ease[:, None] + np.sqrt(world.own) * likes
    logits += world.long * standard(np.log(length))[:, None] * rank[None, :]
    logits += rng.normal(0, world.common, max(1, world.groups))[template][:, None]
    logits += rng.normal(0, world.apart, (max(1, world.groups), m))[template]
    chance = 1 / (1 + np.exp(-logits))
    score = (rng.random((n, m)) < chance).astype(float)
    if world.graded:
        score = rng.beta(8 * chance + 0.05, 8 * (1 - chance) + 0.05)
    score[rng.random((n, m)) < world.missing] = np.nan
    cost = 1e-5 * price[None, :] * (length[:, None] + 10 * rng.lognormal(0, 0.5, (n, m)))
    if world.verbose:
        cost = answered_usd(world, template, np.minimum(length, 600), seed=seed)
    name, column = "template", [f"t{at}" for at in template.tolist()]
    if world.untold:
        name, column = "side", ["test" if at % 2 else "train" for at in template.tolist()]
    return Outcomes(
        items=tuple(f"i{at}" for at in range(n)),
        texts=tuple(texts),
        columns={name: tuple(column)},
        models=tuple(f"m{at}" for at in range(m)),
        score=score,
        cost_usd=np.where(np.isnan(score), np.nan, cost),
        answers=None,
    )


def answered_usd(
    world: World, template: NDArray[np.int64], length: NDArray[np.int64], *, seed: int
) -> Floats:
    """(n, m) costs where the template asks for answers of a length of its own."""
    rng = np.random.default_rng(1000 + seed)
    groups, models = world.groups, world.models
    price = np.geomspace(1, world.ratio, models) * np.exp(rng.normal(0, 0.2, models))
    usual = 30 * np.exp(rng.normal(0, world.verbose, groups))[template][:, None]
    usual = usual * np.exp(rng.normal(0, world.chatty, (groups, models)))[template]
    answers = usual * rng.lognormal(0, 0.5, (len(template), models))
    return np.asarray(1e-5 * price * (length[:, None] + 4 * answers))


def spent_shares(plans: SeedPlans, found: SeedSummary) -> list[float]:
    """What was spent of each budget of which the plan may spend nearly all."""
    learned = plans.learned
    more = learned.more if learned.tells_apart else 0.0
    most = learned.spending.most_usd(plans.plans, plans.expected_usd, more=more)
    return [
        line.spent_share
        for line, usd in zip(found.lines, most.tolist(), strict=True)
        if line.spent_share is not None and usd >= SPENT_LEAST * line.budget_usd
    ]


def named_is_worse(data: Outcomes, plans: SeedPlans) -> list[bool]:
    """By budget, whether the best mixture by training outcomes is worse than hindsight's.

    It spends all of the budget, as nothing tells it not to.
    """
    train, test = plans.split.train, plans.split.test
    models = data.models
    before = singles(models, data.score[train], data.cost_usd[train])
    after = singles(models, data.score[test], data.cost_usd[test])
    usd = {one.model: one.cost_usd for one in after}
    found = []
    for budget in plans.budgets_usd:
        named = mixture(before, budget / len(test))
        if named is None:
            continue
        low, high, share = named
        best = mixture(after, (1 - share) * usd[low] + share * usd[high])
        if best is None:
            continue
        parts = [
            (1 - part) * data.score[test, models.index(one)]
            + part * data.score[test, models.index(other)]
            for one, other, part in (named, best)
        ]
        off = (parts[0] - parts[1])[~np.isnan(parts[0] - parts[1])]
        error = max(float(off.std(ddof=1)) / np.sqrt(len(off)), 1 / len(off))
        found.append(bool(off.mean() < -2 * error))
    return found


def ece_with_means_known(quality: Floats, score: Floats) -> float:
    """Calibration error if each model's predictions had the right mean."""
    moved = quality.copy()
    for at in range(score.shape[1]):
        known = ~np.isnan(score[:, at])
        off = 0.0
        for _ in range(50):
            p = sigmoid(logit(quality[:, at]) + off)
            bend = max(float((p * (1 - p))[known].mean()), 1e-3)
            off += float(np.clip((score[known, at] - p[known]).mean() / bend, -1, 1))
        moved[:, at] = sigmoid(logit(quality[:, at]) + off)
    return calibration(moved, moved, moved.mean(0), score).ece


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", help="names, with commas; all by default")
    parser.add_argument("--seeds", type=int, default=10, help="each another world of the kind")
    asked = parser.parse_args()
    names = asked.worlds.split(",") if asked.worlds else list(WORLDS)
    for name in names:
        world, found, named, floor = WORLDS[name], [], [], []
        spent: list[float] = []
        for seed in range(asked.seeds):
            data = made(world, seed=seed)
            [plans] = run_seeds(data, Settings(split=world.split, seeds=1))
            found.append(summarized(data, plans))
            spent += spent_shares(plans, found[-1])
            named += named_is_worse(data, plans)
            floor.append(ece_with_means_known(plans.quality, data.score[plans.split.test]))
        lines = [line for one in found for line in one.lines if line.gain is not None]
        errors = [one.calibration.ece for one in found if one.calibration is not None]
        print(json.dumps({
            "world": name, "seeds": asked.seeds, "budgets": len(lines),
            "worse": sum(line.is_worse for line in lines),
            "named_worse": sum(named), "named": len(named),
            "worlds_with_worse": sum(any(line.is_worse for line in one.lines) for one in found),
            "gain": round(100 * float(np.mean([line.gain for line in lines])), 2),
            "worst_gain": round(100 * float(np.min([line.gain for line in lines])), 2),
            "ece": round(float(np.mean(errors)), 4),
            "ece_most": round(float(np.max(errors)), 4),
            "ece_means_known": round(float(np.mean(floor)), 4),
            "quality": round(float(np.mean([line.quality for line in lines])), 4),
            "spent_nearly_all": len(spent),
            "spent": [round(float(np.quantile(spent, at)), 3) for at in (0.5, 0.9, 1)]
            if spent else None,
            "overspent": sum(share > 1 + OVERSPENT for share in spent),
            "predictions_used": sum(one.tells_apart for one in found),
        }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
