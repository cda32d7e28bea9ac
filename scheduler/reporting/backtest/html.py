"""A backtest as one HTML file that a manager can read."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scheduler.reporting.backtest.charts import Series, chart
from scheduler.reporting.backtest.headline import headline
from scheduler.reporting.backtest.run import Settings
from scheduler.reporting.backtest.summary import SeedSummary

BLUE, GREEN, GREY, RED, ORANGE, INK = (
    f"var(--{name})" for name in ("blue", "green", "grey", "red", "orange", "ink")
)
"""The template's colors, by light and by dark; lines also differ in how they are drawn."""
NAMED_MODELS_MOST = 16
"""With more, names would hide the lines."""


def rendered(seeds: Sequence[SeedSummary], settings: Settings, *, items: str, outcomes: str) -> str:
    """The report's HTML; *items* and *outcomes* are the files' names."""
    pages = Environment(
        loader=PackageLoader("scheduler.reporting.backtest", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(percent=percent, usd=usd, points=points)
    first = seeds[0]
    return pages.get_template("backtest.html").render(
        head=headline(seeds),
        seeds=seeds,
        first=first,
        settings=settings,
        items=items,
        outcomes=outcomes,
        frontier=frontier_chart(first),
        reliability=calibration_chart(seeds),
        best=max(first.singles, key=lambda one: (one.quality, -one.cost_usd))
        if first.singles
        else None,
    )


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if value is None or value != value else f"{value * 100:.{digits}f} %"


def points(value: float | None) -> str:
    """A difference of qualities in percentage points."""
    return "–" if value is None or value != value else f"{value * 100:+.1f}"


def usd(value: float | None) -> str:
    """An amount with as many digits as it takes."""
    if value is None or value != value:
        return "–"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4g}"


def frontier_chart(seed: SeedSummary) -> str:
    """Realised quality against realised cost, beside the single models and the bounds."""
    # Every line is of the same items, although a plan's own outcomes may be fewer.
    count = seed.scored_items
    part = count / seed.test_items
    lines = [line for line in seed.lines if line.scored]
    series = [
        Series(
            label="with the true outcomes",
            points=[
                (line.budget_usd * part, line.oracle) for line in lines if line.oracle is not None
            ],
            color=GREY,
            dash="6 4",
            marks=False,
        ),
        Series(
            label="the plan",
            points=[(line.cost_usd / line.scored * count, line.quality) for line in lines],
            color=BLUE,
        ),
        Series(
            label="best mixture of single models",
            points=[
                (line.cost_usd / line.scored * count, line.mixture)
                for line in lines
                if line.mixture is not None
            ],
            color=ORANGE,
            marks=False,
        ),
        Series(
            label="by lot",
            points=[
                (line.budget_usd * part, line.random) for line in lines if line.random is not None
            ],
            color=RED,
            dash="2 3",
            marks=False,
        ),
        Series(
            label="single models",
            points=[(one.cost_usd * count, one.quality) for one in seed.singles],
            color=INK,
            line=False,
            names=[one.model for one in seed.singles],
            named=len(seed.singles) <= NAMED_MODELS_MOST,
        ),
    ]
    again = [
        (line.escalated_usd / line.escalated_scored * count, line.escalated)
        for line in lines
        if line.escalated is not None and line.escalated_usd is not None
    ]
    if again:
        series.insert(1, Series(label="the plan, with escalation", points=again, color=GREEN))
    return chart(
        series,
        x_label="what the test part cost, USD (logarithmic)",
        y_label="share of good answers",
        log_x=True,
        title="Quality against cost on the test items",
    )


def calibration_chart(seeds: Sequence[SeedSummary]) -> str:
    """Predicted against realised quality, all seeds together."""
    sums: dict[int, list[float]] = {}
    for one in seeds:
        for said, got, count in one.calibration.bins if one.calibration else ():
            place = sums.setdefault(min(9, int(said * 10)), [0.0, 0.0, 0.0])
            place[0] += said * count
            place[1] += got * count
            place[2] += count
    found = [(said / n, got / n) for _, (said, got, n) in sorted(sums.items())]
    return chart(
        [
            Series(label="perfect", points=[(0, 0), (1, 1)], color=GREY, dash="6 4", marks=False),
            Series(label="predictions", points=found, color=BLUE),
        ],
        x_label="predicted quality",
        y_label="share of good answers",
        title="Predicted and realised quality",
    )


def json_report(seeds: Sequence[SeedSummary], settings: Settings) -> dict[str, Any]:
    """The report as plain values; what could not be scored is null, for JSON has no NaN."""
    found = _plain({"settings": settings, "headline": headline(seeds), "seeds": list(seeds)})
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    match value:
        case Path():
            return str(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                part.name: _plain(getattr(value, part.name)) for part in dataclasses.fields(value)
            }
        case _:
            return value
