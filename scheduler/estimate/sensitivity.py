"""Which inputs move a result most: Sobol indices by Saltelli's design."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOOTSTRAPS: Final = 200
SURE: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """How one input moves the result.

    Attributes:
        first: share of the result's variance that this input explains by itself.
        total: share that is gone if it is known; with the others' interactions.
        first_error, total_error: half the width of their 95 % intervals.
    """

    name: str
    first: float
    first_error: float
    total: float
    total_error: float


def sobol_indices(
    result: Callable[[Mapping[str, Floats]], Floats],
    ranges: Mapping[str, tuple[float, float]],
    *,
    samples: int,
    seed: int,
) -> list[Influence]:
    """First-order and total Sobol indices, the strongest total first.

    Inputs are independent and uniform over *ranges*.  First-order: Saltelli et al. (2010),
    total: Jansen (1999), from `samples * (inputs + 2)` evaluations; intervals by bootstrap.

    Args:
        result: from inputs by name, each (n,), to (n,).
    """
    names = tuple(ranges)
    rng = np.random.default_rng(seed)
    low = np.array([ranges[name][0] for name in names])
    high = np.array([ranges[name][1] for name in names])
    ones, others = low + (high - low) * rng.random((2, samples, len(names)))
    base, other = _evaluated(result, names, ones), _evaluated(result, names, others)
    mixed = np.empty((len(names), samples))
    for at in range(len(names)):
        swapped = ones.copy()
        swapped[:, at] = others[:, at]
        mixed[at] = _evaluated(result, names, swapped)
    draws = rng.integers(samples, size=(BOOTSTRAPS, samples))
    found = []
    for at, name in enumerate(names):
        first, total = _indices(base, other, mixed[at])
        again = np.array([_indices(base[draw], other[draw], mixed[at][draw]) for draw in draws])
        first_error, total_error = SURE * again.std(0)
        found.append(
            Influence(
                name=name,
                first=first,
                first_error=float(first_error),
                total=total,
                total_error=float(total_error),
            )
        )
    return sorted(found, key=lambda one: -one.total)


def _evaluated(
    result: Callable[[Mapping[str, Floats]], Floats], names: tuple[str, ...], rows: Floats
) -> Floats:
    return np.asarray(result({name: rows[:, at] for at, name in enumerate(names)}))


def _indices(base: Floats, other: Floats, mixed: Floats) -> tuple[float, float]:
    variance = float(np.concatenate([base, other]).var())
    if variance <= 0:
        return 0.0, 0.0
    # Without the mean the product's own sampling error is smaller.
    first = float(np.mean((other - base.mean()) * (mixed - base))) / variance
    total = float(np.mean((base - mixed) ** 2)) / 2 / variance
    return first, total
