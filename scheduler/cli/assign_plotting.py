"""The front of cost against quality as a picture, with every single option on it."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from scheduler.domain.money import NUSD_PER_USD
from scheduler.optimise.frontier import FrontierPoint, SingleOption
from scheduler.reporting.backtest.charts import shortened

SMALL = 1e-9
CHARACTER = 0.009
"""Of the axes' width, at most, that a character of a name takes."""

HALO = (Stroke(linewidth=2.5, foreground="white"), Normal())


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
    names = shortened(options)
    places = [
        (max(one.cost_nusd / NUSD_PER_USD, SMALL), one.value / items, names[one.option])
        for one in singles
    ]
    for x, y, _ in places:
        axes.plot(x, y, "s", ms=5, color="C7")
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
    for place in places:
        _name(axes, *place)
    axes.set_xlabel("cost, USD")
    axes.set_ylabel("mean quality, over all items")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _name(axes: Axes, x: float, y: float, name: str) -> None:
    """Write *name* below the point, on the side that leads into the picture; the axes are set."""
    share, _ = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
    side, offset = ("right", -5) if share + len(name) * CHARACTER > 1 else ("left", 4)
    axes.annotate(
        name,
        (x, y),
        xytext=(offset, -10),
        textcoords="offset points",
        ha=side,
        fontsize=8,
        path_effects=HALO,
    )
