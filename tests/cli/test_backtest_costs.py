"""What a call is expected to cost in a backtest."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.reporting.backtest.costs import fitted_costs
from scheduler.reporting.backtest.estimates import Described

WORDS = ("amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heath", "inlet", "jetty")


def texts(opening: str, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [f"{opening} " + " ".join(rng.choice(WORDS, 30)) for _ in range(count)]


def off(
    said: Sequence[str], paid: NDArray[np.float64], asked: Sequence[str]
) -> NDArray[np.float64]:
    """Expected cost of *asked* by what *said* texts *paid* (n,)."""
    known, new = Described.of(said), Described.of(asked)
    model, _ = fitted_costs(known.stats, known.features, paid[:, None], groups=None, seed=0)
    return model.cost_usd(new.stats, new.features)[:, 0]


def test_what_is_asked_tells_the_length_of_the_answer() -> None:
    said = texts("prove every claim", 200, 0) + texts("quote right parts", 200, 1)
    paid = np.repeat([0.010, 0.001], 200)

    assert np.allclose(off(said, paid, texts("prove every claim", 20, 2)), 0.010, rtol=0.15)
    assert np.allclose(off(said, paid, texts("quote right parts", 20, 3)), 0.001, rtol=0.6)


def test_costs_that_look_lowest_are_as_low_as_they_look() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 400, 1_200)
    said = [" ".join(rng.choice(WORDS, length)) for length in lengths]
    # No straight line: one through the means is far too low for the shortest texts.
    paid = 0.002 + 1e-10 * lengths.astype(float) ** 3

    expected = off(said[:600], paid[:600], said[600:])
    lowest = np.argsort(expected)[:120]
    assert abs(expected[lowest].sum() / paid[600:][lowest].sum() - 1) < 0.1


def test_what_tells_only_seen_groups_apart_is_not_believed() -> None:
    rng = np.random.default_rng(1)
    groups = [f"g{at // 50}" for at in range(400)]
    said = [one for at in range(8) for one in texts(" ".join(WORDS[at : at + 2] * 8), 50, at)]
    paid = np.repeat(rng.uniform(0.001, 0.01, 8), 50)[:, None]
    known = Described.of(said)

    alone, _ = fitted_costs(known.stats, known.features, paid, groups=None, seed=0)
    apart, held_back = fitted_costs(known.stats, known.features, paid, groups=groups, seed=0)

    assert alone.words.any()
    assert not apart.words.any()
    assert not apart.curves
    assert np.isfinite(held_back).all()


def test_corrected_costs_sum_to_what_was_paid() -> None:
    rng = np.random.default_rng(2)
    said = [" ".join(rng.choice(WORDS, rng.integers(5, 60))) for _ in range(200)]
    paid = 0.001 * rng.lognormal(0, 1.5, (200, 20))
    known = Described.of(said)

    model, held_back = fitted_costs(known.stats, known.features, paid, groups=None, seed=0)

    assert all(len(curve.said_usd) for curve in model.curves)
    totals = model.cost_usd(known.stats, known.features).sum(0) / paid.sum(0)
    assert abs(totals.mean() - 1) < 0.01
    assert abs(held_back.sum() / paid.sum() - 1) < 0.05
