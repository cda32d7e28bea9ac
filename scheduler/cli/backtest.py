"""`apportion backtest`: what planning would have brought, on outcomes of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scheduler.cli.paths import WRITTEN
from scheduler.cli.printing import print_json, print_tables, table
from scheduler.domain.errors import Refused

if TYPE_CHECKING:
    from scheduler.reporting.backtest.summary import SeedSummary

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


class BadBudgets(Refused):
    """`--budgets` that are no amounts."""

    def __init__(self, budgets: str) -> None:
        super().__init__(f"--budgets {budgets!r}: write amounts in USD above 0, like 1,2.5,10")
        self.budgets = budgets


def _amounts(budgets: str | None) -> tuple[float, ...] | None:
    if budgets is None:
        return None
    try:
        amounts = tuple(sorted({float(one) for one in budgets.split(",")}))
    except ValueError:
        raise BadBudgets(budgets) from None
    if not all(0 < amount < 1e9 for amount in amounts):
        raise BadBudgets(budgets)
    return amounts


@click.command("backtest")
@click.option("--items", type=EXISTING, required=True, help="CSV with item_id,text[,...].")
@click.option(
    "--outcomes",
    type=EXISTING,
    required=True,
    help="CSV with item_id,model,correct|score and cost_usd (or input_tokens,output_tokens).",
)
@click.option(
    "--split",
    default="random",
    show_default=True,
    help="random; group:COLUMN keeps whole groups apart; column:COLUMN reads train/test.",
)
@click.option(
    "--train-share",
    type=click.FloatRange(0.05, 0.95),
    default=0.5,
    show_default=True,
    help="Part of the items to learn from.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="How often, with another split each time.",
)
@click.option(
    "--budgets",
    help="USD for the whole test part, like 1,2,5; else a geometric range from the cheapest "
    "to the dearest single model.",
)
@click.option(
    "--prices",
    type=EXISTING,
    help="CSV with model,input_usd_per_million,output_usd_per_million, for outcomes with "
    "tokens; else genai-prices.",
)
@click.option(
    "--risk",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="The chance that a plan may have of being significantly worse than dividing the work "
    "between two models by lot. Where little is known of the items to come, a small one leaves "
    "money over.",
)
@click.option(
    "--escalate",
    is_flag=True,
    help="Also answer first, judge by the answer, and pay again where in doubt.",
)
@click.option(
    "--embedding",
    type=click.Path(path_type=Path),
    help="Folder with model.onnx and tokenizer.json of a sentence-embedding model, to be used "
    "beside the built-in features.",
)
@click.option("--choices", type=WRITTEN, help="Write what was chosen for each test item.")
@click.option("--html", type=WRITTEN, help="Write a report to read and pass on.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def command(
    *,
    items: Path,
    outcomes: Path,
    split: str,
    train_share: float,
    seeds: int,
    budgets: str | None,
    prices: Path | None,
    risk: float,
    escalate: bool,
    embedding: Path | None,
    choices: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """See what planning would have brought on your own outcomes.

    Learns from one part of the items, plans the other under a sweep of budgets by predicted
    quality and cost, and then compares with the outcomes: against every single model, the best
    mixture of them, a lot, and the plan that knew. Test items may be without outcomes: they
    are planned, and not scored. Files may be .csv, .csv.gz or .parquet.

    \b
    apportion backtest --items items.csv --outcomes outcomes.csv --html report.html
    """
    # numba and the solver take a second to load, and `--help` needs neither.
    from scheduler.reporting.backtest.choices import choice_rows, write_choices
    from scheduler.reporting.backtest.data import read_outcomes
    from scheduler.reporting.backtest.html import json_report, rendered
    from scheduler.reporting.backtest.run import Settings, run_seeds
    from scheduler.reporting.backtest.summary import summarized

    settings = Settings(
        split=split,
        train_share=train_share,
        seeds=seeds,
        budgets_usd=_amounts(budgets),
        risk=risk,
        escalate=escalate,
        embedding=embedding,
    )
    data = read_outcomes(items, outcomes, prices_path=prices)
    found: list[SeedSummary] = []
    rows: list[tuple[object, ...]] = []
    for plans in run_seeds(data, settings):
        found.append(summarized(data, plans))
        if choices is not None:
            rows.extend(choice_rows(data, plans))
        click.echo(f"seed {plans.seed}: planned {len(plans.split.test)} items", err=True)
    if choices is not None:
        write_choices(choices, rows)
    if html is not None:
        page = rendered(found, settings, items=items.name, outcomes=outcomes.name)
        html.write_text(page, encoding="utf-8")
    if as_json:
        print_json(json_report(found, settings))
        return
    _print(found)
    for path in (html, choices):
        if path is not None:
            click.echo(f"written: {path}")


def _print(seeds: Sequence["SeedSummary"]) -> None:
    """The headline, and the first seed's plans."""
    from scheduler.reporting.backtest.headline import Spread, headline
    from scheduler.reporting.backtest.html import percent, points, usd

    def over_seeds(figure: Spread | None) -> str:
        if figure is None:
            return "-"
        return f"{percent(figure.mean)} ({percent(figure.least)} to {percent(figure.most)})"

    head = headline(seeds)
    shares = {
        "saved at the best single model's quality": head["saving"],
        "the same with escalation": head["saving_escalated"],
        "the same, budget named by training items": head["saving_chosen_beforehand"],
        "quality over the best mixture, mean of budgets": head["gain_over_mixture"],
        "calibration error (ECE)": head["ece"],
        "mean squared error (Brier)": head["brier"],
        "the same for the models' means": head["brier_of_means"],
        "expected costs off by": head["cost_error"],
    }
    unspent = f"{head['budgets_half_unspent']} of {head['budgets']}"
    if head["budgets_half_unspent"]:
        unspent += " (a larger --risk spends more)"
    worse = f"{head['budgets_significantly_worse']} of {head['budgets_compared']}"
    overspent = f"{head['budgets_overspent']} of {head['budgets']}"
    if head["spent_of_budget"] is not None:
        overspent += f" (at most {percent(head['spent_of_budget'].most)} of one was spent)"
    lines = [(name, over_seeds(figure)) for name, figure in shares.items() if figure is not None]
    lines += [
        ("seeds that reach the best single model", str(head["saving_reached_in_seeds"])),
        ("budgets significantly worse than the mixture", worse),
        ("budgets of which less than half was spent", unspent),
        ("budgets overspent by more than 1 %", overspent),
        ("test items that could not be scored", str(head["items_not_scored"])),
    ]
    plans = [
        (
            usd(line.budget_usd),
            usd(line.cost_usd),
            percent(line.spent_share),
            percent(line.expected_quality),
            percent(line.quality),
            f"{points(line.gain)} ± {100 * (line.error or 0):.1f}",
            percent(line.oracle),
            percent(line.escalated),
            line.deferred,
            line.scored,
        )
        for line in seeds[0].lines
    ]
    print_tables(
        [
            table("Over all seeds", ("figure", "mean (least to most)"), lines),
            table(
                f"Plans of seed {seeds[0].seed}",
                ("budget", "spent", "of budget", "predicted", "quality", "against mixture",
                 "true outcomes", "escalated", "deferred", "scored"),
                plans,
            ),
        ]
    )  # fmt: skip
