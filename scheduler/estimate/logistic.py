"""Penalized logistic regression by Newton's method, for scores between 0 and 1."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 25
LOGIT_MOST = 12.0


def logit(p: Floats) -> Floats:
    """log(p / (1 - p)), with *p* kept away from 0 and 1 by 1e-5."""
    kept = np.clip(p, 1e-5, 1 - 1e-5)
    return np.log(kept) - np.log1p(-kept)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -LOGIT_MOST * 3, LOGIT_MOST * 3)))


def fitted(
    columns: Floats, score: Floats, weight: Floats, offset: Floats, penalty: Floats
) -> Floats:
    """Coefficients (k,) that minimize the cross-entropy plus `penalty . coefficients^2 / 2`.

    Args:
        columns: (n, k).
        score, weight, offset: (n,); the offset is a logit that is already known.
        penalty: (k,) at least one positive where columns may be collinear.
    """
    found = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        p = sigmoid(offset + columns @ found)
        slope = columns.T @ (weight * (score - p)) - penalty * found
        curve = weight * np.maximum(p * (1 - p), 1e-4)
        bend = (columns * curve[:, None]).T @ columns
        bend[np.diag_indices_from(bend)] += penalty + 1e-9
        step = np.linalg.solve(bend, slope)
        # A separable set throws Newton's first steps far off; short steps still arrive.
        found += step * min(1.0, 4.0 / max(1e-9, float(np.abs(columns @ step).max(initial=0))))
        if np.abs(step).max(initial=0) < 1e-6:
            break
    return found
