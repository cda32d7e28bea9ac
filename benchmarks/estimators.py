"""Ways to calibrate and to be cautious, compared: `python -m benchmarks.estimators FOLDER`.

FOLDER is what `benchmarks.backtest_data` wrote.  Each way is fitted on what the shipped heads say
of held-back training items and judged on test items.  Calibration: as shipped, one isotonic
curve per model, and Venn-Abers (the mean of the two isotonic answers; Vovk & Petej 2014).
Bounds at 0.9: as shipped, and split-conformal per model (Vovk et al. 2005): a bound holds where the
mean score of a hundred items of like prediction is above their mean bound.
Heads: the shipped ones, and the mean and the tenth percentile of heads that were learned from
training items drawn anew with replacement (bootstrap, as in OptLLM, arXiv 2405.15130).
Prints one JSON line per split.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.features import document_features
from scheduler.estimate.learning import learned
from scheduler.estimate.observations import Observations
from scheduler.reporting.backtest.data import Outcomes, read_outcomes
from scheduler.reporting.backtest.run import SeedPlans, Settings, run_seeds
from scheduler.reporting.backtest.scores import calibration

Floats = NDArray[np.float64]
Curve = Callable[[Floats, Floats, Floats], Floats]
LEVEL = 0.9
CONFORMAL_CELL = 100
RESAMPLED = 10
"""Bootstrapped heads."""


def isotonic(said: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Places and rising values of the least-squares isotonic curve (pool adjacent violators)."""
    order = np.argsort(said, kind="stable")
    blocks: list[list[float]] = []
    for at in order.tolist():
        blocks.append([score[at], 1.0])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            value, count = blocks.pop()
            before = blocks[-1]
            total = before[1] + count
            blocks[-1] = [(before[0] * before[1] + value * count) / total, total]
    values = np.repeat([value for value, _ in blocks], [int(count) for _, count in blocks])
    return said[order], values


def by_isotonic(said: Floats, score: Floats, asked: Floats) -> Floats:
    """(n,) the isotonic curve of *score* over *said*, at *asked*."""
    return np.asarray(np.interp(asked, *isotonic(said, score)))


def by_venn_abers(said: Floats, score: Floats, asked: Floats) -> Floats:
    """(n,) Venn-Abers: with each label supposed in turn, merged so as to lose least log-loss.

    On 200 points of the range, and between them by line.
    """
    points = np.unique(np.quantile(asked, np.linspace(0, 1, 200)))
    found = []
    for point in points.tolist():
        bounds = [
            by_isotonic(np.append(said, point), np.append(score, label), np.array([point]))[0]
            for label in (0.0, 1.0)
        ]
        found.append(bounds[1] / (1 - bounds[0] + bounds[1]))
    return np.asarray(np.interp(asked, points, found))


def conformal_lower(said: Floats, score: Floats, asked: Floats) -> Floats:
    """(n,) *asked* less what held-back cells of like prediction fell short by, at the level."""
    parts = np.array_split(np.argsort(said, kind="stable"), max(1, len(said) // CONFORMAL_CELL))
    short = np.array([said[part].mean() - score[part].mean() for part in parts])
    rank = min(1.0, np.ceil((len(short) + 1) * LEVEL) / len(short))
    return asked - float(np.quantile(short, rank, method="higher"))


def bootstrapped(
    data: Outcomes, plans: SeedPlans, features: NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """(t, m) mean and lower bound of what heads from resampled training items say of test items."""
    train, rng = plans.split.train, np.random.default_rng(plans.seed)
    row, at = np.nonzero(~np.isnan(data.score[train]))
    said = []
    for _ in range(RESAMPLED):
        drawn = np.bincount(rng.integers(0, len(train), len(train)), minlength=len(train))
        kept = drawn[row] > 0
        predictor = learned(
            Observations(
                features=features[train],
                row=row[kept],
                task=["resampled"] * int(kept.sum()),
                offer=[data.models[model] for model in at[kept].tolist()],
                score=data.score[train][row[kept], at[kept]],
                weight=drawn[row[kept]].astype(np.float64),
            ),
            seed=plans.seed,
        )
        found = predictor.quality(
            features[plans.split.test],
            task="resampled",
            offers=data.models,
            priors=np.full(len(data.models), np.nan),
        )
        said.append(found.mean.astype(np.float64))
    return np.mean(said, axis=0), np.quantile(said, 1 - LEVEL, axis=0)


def judged(data: Outcomes, split: str, seeds: int) -> dict[str, dict[str, float]]:
    """Mean ECE and Brier of each way of calibrating, and cover of each bound, over *seeds*."""
    ways: dict[str, Curve] = {"isotonic": by_isotonic, "venn_abers": by_venn_abers}
    found: dict[str, list[tuple[float, float, float]]] = {}
    features = document_features(data.texts)
    for plans in run_seeds(data, Settings(split=split, seeds=seeds, budgets_usd=(1.0,))):
        held, score = plans.learned.held_back, data.score[plans.split.test]
        assert held is not None
        columns = [data.models.index(offer) for offer in held.offers]
        score, said = score[:, columns], plans.quality[:, columns]
        lower, plain = plans.lower[:, columns], plans.learned.rates[columns]
        bound = np.stack([
            conformal_lower(held.quality[:, at], held.score[:, at], said[:, at])
            for at in range(len(columns))
        ], 1)  # fmt: skip
        tables = {"shipped": (said, lower), "conformal": (said, bound)}
        again = bootstrapped(data, plans, features)
        tables["bootstrapped"] = again[0][:, columns], again[1][:, columns]
        for name, way in ways.items():
            tables[name] = (np.stack([
                way(held.quality[:, at], held.score[:, at], said[:, at])
                for at in range(len(columns))
            ], 1), lower)  # fmt: skip
        for name, (quality, under) in tables.items():
            one = calibration(quality, under, plain, score)
            found.setdefault(name, []).append((one.ece, one.brier, one.covered))
    return {name: _means(rows) for name, rows in found.items()}


def _means(rows: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    mean = np.mean(rows, axis=0)
    return {name: round(float(value), 4) for name, value in
            zip(("ece", "brier", "covered"), mean, strict=True)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    asked = parser.parse_args()
    items, outcomes = (asked.folder / f"overruling_{name}.csv" for name in ("items", "outcomes"))
    data = read_outcomes(items, outcomes)
    for split in ("random", "group:cluster", "group:coarse"):
        found = judged(data, split, asked.seeds)
        print(json.dumps({"benchmark": "estimators", "split": split, **found}), flush=True)


if __name__ == "__main__":
    main()
