"""The front of cost against quality as a picture, with every single option on it."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from scheduler.domain.money import NUSD_PER_USD
from scheduler.optimise.frontier import FrontierPoint, SingleOption

SMALL = 1e-9


def draw_front(
    path: Path,
    points: Sequence[FrontierPoint],
    singles: Sequence[SingleOption],
    *,
    options: Sequence[str],
    items: int,
    chosen: tuple[int, float],
) -> None:
    """Write the picture to *path*: mean quality over all *items* against cost in USD.

    *chosen* is the plan's own cost in nUSD and its quality in all.
    """
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    costs = [max(p.cost_nusd / NUSD_PER_USD, SMALL) for p in points]
    axes.step(costs, [p.value / items for p in points], where="post", alpha=0.3, color="C0")
    axes.plot(costs, [p.value / items for p in points], "o-", ms=4, label="best plans", color="C0")
    for single in singles:
        there = max(single.cost_nusd / NUSD_PER_USD, SMALL), single.value / items
        axes.plot(*there, "s", ms=5, color="C7")
        axes.annotate(
            options[single.option], there, xytext=(4, -10), textcoords="offset points", fontsize=8
        )
    axes.plot([], [], "s", ms=5, color="C7", label="one option for all")
    cost_nusd, value = chosen
    axes.plot(
        max(cost_nusd / NUSD_PER_USD, SMALL),
        value / items,
        "*",
        ms=14,
        color="C3",
        label="this plan",
    )
    dear = [c for c in costs if c > SMALL]
    if dear and max(dear) > 50 * min(dear):
        axes.set_xscale("log")
        axes.set_xlim(left=min(dear) / 2)
    axes.set_xlabel("cost, USD")
    axes.set_ylabel("mean quality, over all items")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
    plt.close(figure)
