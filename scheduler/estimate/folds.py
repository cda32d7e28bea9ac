"""Ways to hold documents back: at random, by group, and by likeness where no group is known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LIKENESS_ROUNDS = 12


def random_folds(count: int, *, folds: int, seed: int) -> NDArray[np.int64]:
    """(count,) fold of each document, of sizes as equal as can be."""
    return np.random.default_rng(seed).permutation(count) % folds


def group_folds(groups: Sequence[object], *, folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) fold of each document; a group is in one fold, and folds are of like size."""
    at: dict[object, int] = {}
    index = np.array([at.setdefault(group, len(at)) for group in groups], np.int64)
    sizes = np.bincount(index)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.empty(len(sizes), np.int64)
    load = np.zeros(min(folds, len(sizes)))
    for group in order:
        fold_of[group] = load.argmin()
        load[load.argmin()] += sizes[group]
    return fold_of[index]


def likeness_groups(vectors: NDArray[np.float64], *, groups: int, seed: int) -> NDArray[np.int64]:
    """(n,) cluster of each document by k-means on *vectors* (n, k), started far apart."""
    rng = np.random.default_rng(seed)
    centres = vectors[rng.integers(len(vectors))][None, :]
    away = ((vectors - centres[0]) ** 2).sum(1)
    for _ in range(groups - 1):
        # k-means++: the further a document is from every centre, the likelier it is one.
        total = away.sum()
        chance = away / total if total > 0 else None
        centre = vectors[rng.choice(len(vectors), p=chance)]
        centres = np.vstack([centres, centre])
        away = np.minimum(away, ((vectors - centre) ** 2).sum(1))
    nearest = np.zeros(len(vectors), np.int64)
    for _ in range(LIKENESS_ROUNDS):
        square = (centres**2).sum(1)[None, :] - 2 * vectors @ centres.T
        nearest = square.argmin(1)
        for at in range(groups):
            if (nearest == at).any():
                centres[at] = vectors[nearest == at].mean(0)
    return nearest
