"""The figures of a backtest that matter, over all its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scheduler.reporting.backtest.scores import best_single
from scheduler.reporting.backtest.summary import SeedSummary

OVERSPENT: Final = 0.01
"""What part of a budget must be spent beyond it to count; no cost is known to the cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over the seeds that have it."""

    mean: float
    least: float
    most: float
    seeds: int


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean, least and most of *values*; None where no seed has the figure."""
    known = [value for value in values if value is not None and not np.isnan(value)]
    if not known:
        return None
    return Spread(mean=float(np.mean(known)), least=min(known), most=max(known), seeds=len(known))


def headline(seeds: Sequence[SeedSummary]) -> dict[str, Any]:
    """The figures that matter, over all seeds."""
    lines = [line for one in seeds for line in one.lines]
    gains = [line for line in lines if line.gain is not None]
    return {
        "seeds": len(seeds),
        "saving": spread([one.saving for one in seeds]),
        "saving_reached_in_seeds": sum(one.saving is not None for one in seeds),
        "saving_escalated": spread([one.saving_escalated for one in seeds]),
        "saving_chosen_beforehand": spread([one.ahead_saving for one in seeds]),
        "quality_chosen_beforehand": spread([one.ahead_quality for one in seeds]),
        "quality_of_best_single": spread(
            [best_single(list(one.singles)).quality if one.singles else None for one in seeds]
        ),
        "gain_over_mixture": spread([line.gain for line in gains]),
        "budgets_significantly_worse": sum(line.is_worse for line in gains),
        "budgets_compared": len(gains),
        "budgets_half_unspent": sum(line.expected_usd < line.budget_usd / 2 for line in lines),
        "budgets": len(lines),
        "spent_of_budget": spread([line.spent_share for line in lines]),
        "budgets_overspent": sum(
            line.spent_share is not None and line.spent_share > 1 + OVERSPENT for line in lines
        ),
        "ece": spread([one.calibration.ece if one.calibration else None for one in seeds]),
        "model_ece": spread(
            [one.calibration.model_ece if one.calibration else None for one in seeds]
        ),
        "brier": spread([one.calibration.brier if one.calibration else None for one in seeds]),
        "brier_of_means": spread(
            [one.calibration.plain_brier if one.calibration else None for one in seeds]
        ),
        "cost_error": spread([one.cost_error for one in seeds]),
        "items_scored": sum(one.scored_items for one in seeds),
        "items_not_scored": sum(one.test_items - one.scored_items for one in seeds),
    }
