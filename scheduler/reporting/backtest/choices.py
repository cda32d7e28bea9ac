"""What was chosen for the test items, as rows that anyone can score."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.run import SeedPlans

COLUMNS: Final = ("seed", "budget_usd", "item_id", "option", "predicted_quality")


def choice_rows(data: Outcomes, plans: SeedPlans) -> Iterator[tuple[object, ...]]:
    """One row per budget and test item; the option is empty where the item is deferred."""
    items = [data.items[at] for at in plans.split.test.tolist()]
    for budget, choice in zip(plans.budgets_usd, plans.plans, strict=True):
        for place, (item, model) in enumerate(zip(items, choice.tolist(), strict=True)):
            if model < 0:
                yield plans.seed, f"{budget:.9g}", item, "", ""
            else:
                said = plans.quality[place, model]
                yield plans.seed, f"{budget:.9g}", item, data.models[model], f"{said:.6f}"


def write_choices(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    """Write *rows* to *path* as CSV."""
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
