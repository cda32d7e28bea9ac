"""What a call would cost, from the text alone."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.folds import random_folds
from scheduler.estimate.tokens import TokenModel

Floats = NDArray[np.float64]

FOLDS: Final = 4
LEAST: Final = 8
"""Outcomes below which a model's cost is its mean, in proportion to the text's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Cost per model as a linear function of a text's tokens and, where it helps, its scripts.

    Attributes:
        weights: (k, m) USD per column; the first columns are one and the tokens.
        scale: (k,) what the columns are divided by.
        floor: (m,) USD, half of the least that was ever paid.
    """

    weights: Floats
    scale: Floats
    floor: Floats

    def cost_usd(self, stats: NDArray[np.int32]) -> Floats:
        """(n, m) expected cost of texts with these *stats*."""
        columns = _columns(stats)[:, : len(self.scale)] / self.scale
        return np.asarray(np.maximum(columns @ self.weights, self.floor))


def fitted_costs(stats: NDArray[np.int32], cost_usd: Floats, *, seed: int) -> CostModel:
    """The cost model that *cost_usd* (n, m; NaN where unknown) teaches.

    Tokens alone, or with the scripts' bytes: whichever did better on held-back texts.
    """
    columns = _columns(stats)
    fold = random_folds(len(stats), folds=FOLDS, seed=seed)
    errors = {}
    for width in (2, columns.shape[1]):
        off = 0.0
        for at in range(FOLDS):
            mine = fold == at
            if mine.all() or not mine.any():
                continue
            model = _fitted(columns[~mine, :width], cost_usd[~mine])
            unit = np.maximum(model.floor, 1e-12)
            off += float(np.nansum(((model.cost_usd(stats[mine]) - cost_usd[mine]) / unit) ** 2))
        errors[width] = off
    return _fitted(columns[:, : min(errors, key=lambda width: (errors[width], width))], cost_usd)


def _columns(stats: NDArray[np.int32]) -> Floats:
    tokens = TokenModel().input_tokens(stats, family="other")[0]
    return np.hstack([np.ones((len(stats), 1)), tokens[:, None], stats.astype(np.float64)])


def _fitted(columns: Floats, cost_usd: Floats) -> CostModel:
    scale = np.maximum(np.sqrt(np.mean(columns**2, axis=0)), 1e-9)
    weights = np.zeros((columns.shape[1], cost_usd.shape[1]))
    floor = np.zeros(cost_usd.shape[1])
    for at in range(cost_usd.shape[1]):
        known = ~np.isnan(cost_usd[:, at])
        paid = cost_usd[known, at]
        if not len(paid):
            continue
        floor[at] = paid.min() / 2
        scaled = columns[known] / scale
        if len(paid) < LEAST:
            weights[1, at] = paid.sum() / max(scaled[:, 1].sum(), 1e-12)
            continue
        # The mean must be right, so the first column goes free; the others are held a little.
        ridge = np.full(columns.shape[1], 0.1)
        ridge[:2] = 1e-6
        bend = scaled.T @ scaled + np.diag(ridge)
        weights[:, at] = np.linalg.solve(bend, scaled.T @ paid)
    return CostModel(weights=weights, scale=scale, floor=floor)
