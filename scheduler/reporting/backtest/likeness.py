"""How like the test items an item is, told by its text."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.folds import random_folds
from scheduler.estimate.heads import Grid, fitted_heads
from scheduler.estimate.novelty import Familiar

Floats = NDArray[np.float64]

FOLDS: Final = 4
PENALTY: Final = 30.0
MOST_ITEMS: Final = 4_000
"""Items that one fold is learned from."""


def likeness(train: NDArray[Any], test: NDArray[Any], *, seed: int) -> tuple[Floats, Floats]:
    """(d,) and (t,) logits by which others' texts make each item one of the test items.

    A classifier tells the two sides apart (Lopez-Paz & Oquab 2017).  Where the split was by lot
    it finds nothing to go by.

    Args:
        train, test: (d, f) and (t, f) features.
    """
    features = np.vstack([train, test])
    is_test = np.repeat([0.0, 1.0], [len(train), len(test)])
    columns = Familiar.of(features).scaled(features).astype(np.float64)
    # Both sides are held back in equal parts: a side that is short of items in what is learned
    # from looks unlikely in what is not.
    fold = np.concatenate(
        [random_folds(len(side), folds=FOLDS, seed=seed) for side in (train, test)]
    )
    rng = np.random.default_rng(seed)
    found = np.zeros(len(features))
    for at in range(FOLDS):
        rest = np.flatnonzero(fold != at)
        if len(rest) > MOST_ITEMS:
            rest = rng.choice(rest, MOST_ITEMS, replace=False)
        grid = Grid(
            columns=columns[rest], score=is_test[rest, None], weight=np.ones((len(rest), 1))
        )
        found[fold == at] = (columns[fold == at] @ fitted_heads(grid, PENALTY)[1:])[:, 0]
    return found[: len(train)], found[len(train) :]
