"""Logistic heads for many offers at once, over documents that not every offer has seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.logistic import logit, sigmoid

Floats = NDArray[np.float64]

STEPS_MOST = 200
STILL = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Scores of d documents with m offers, with gaps.

    Attributes:
        columns: (d, f) float64, centred.
        score: (d, m), anything where there is no weight.
        weight: (d, m), 0 where an offer was not observed on a document.
    """

    columns: Floats
    score: Floats
    weight: Floats

    def of(self, chosen: NDArray[np.bool_]) -> "Grid":
        """The documents where *chosen* (d,) holds."""
        return Grid(
            columns=self.columns[chosen], score=self.score[chosen], weight=self.weight[chosen]
        )

    def rates(self, *, worth: float = 1.0) -> Floats:
        """(m,) mean score of each offer, drawn to the mean of all by *worth* outcomes."""
        total = self.weight.sum()
        middle = (self.weight * self.score).sum() / total if total else 0.5
        found = (self.weight * self.score).sum(0) + worth * middle
        return np.asarray(found / (self.weight.sum(0) + worth))


def fitted_heads(grid: Grid, penalty: float, *, start: Floats | None = None) -> Floats:
    """Intercepts and heads (1 + f, m) of least penalized cross-entropy, heads near *start*.

    Every offer's curvature is bounded by a quarter of the documents' (Böhning 1992), so that
    one factorization serves all offers; Nesterov's steps make up for the bound's slack.

    Args:
        penalty: on the squared distance of each head from *start*.
        start: (f, m), zeros by default.
    """
    if start is None and len(grid.columns) < grid.columns.shape[1]:
        # Heads that start at nothing stay in the span of the documents: work in there.
        left, size, span = np.linalg.svd(grid.columns, full_matrices=False)
        narrow = Grid(columns=left * size, score=grid.score, weight=grid.weight)
        found = _fitted(narrow, penalty, None)
        return np.vstack([found[:1], span.T @ found[1:]])
    return _fitted(grid, penalty, start)


def _fitted(grid: Grid, penalty: float, start: Floats | None) -> Floats:
    rows = np.hstack([np.ones((len(grid.columns), 1)), grid.columns])
    most = np.minimum(grid.weight.max(1, initial=0.0), 1e6)
    bend = (rows * (most / 4)[:, None]).T @ rows
    ridge = np.full(rows.shape[1], penalty)
    ridge[0] = 1e-2
    bend[np.diag_indices_from(bend)] += ridge
    inverse = np.linalg.inv(bend)
    home = np.zeros((rows.shape[1], grid.score.shape[1]))
    home[0] = logit(grid.rates())
    if start is not None:
        home[1:] = start
    return _descended(rows, grid, ridge[:, None], home, inverse)


def _descended(rows: Floats, grid: Grid, ridge: Floats, home: Floats, inverse: Floats) -> Floats:
    """Minimum by Nesterov's steps from *home*, started anew when a step goes uphill."""
    heads, ahead, pace = home.copy(), home.copy(), 1.0
    for _ in range(STEPS_MOST):
        slope = rows.T @ (grid.weight * (grid.score - sigmoid(rows @ ahead)))
        slope -= ridge * (ahead - home)
        stepped = ahead + inverse @ slope
        if np.einsum("ij,ij->", stepped - heads, slope) < 0:
            pace = 1.0
        following = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = stepped + (pace - 1) / following * (stepped - heads)
        moved = float(np.abs(stepped - heads).max(initial=0.0))
        heads, pace = stepped, following
        if moved < STILL:
            break
    return heads
