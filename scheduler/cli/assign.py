"""`apportion assign`: which option for which item, from a file of estimates alone."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from scheduler.cli.paths import WRITTEN
from scheduler.domain.money import nusd_from_usd, usd_text

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("estimates", type=FILE)
@click.option("--budget", metavar="USD", help="The most that all items together may cost.")
@click.option("--floor", type=click.FloatRange(0), help="The least mean quality of what is served.")
@click.option(
    "--objective",
    type=click.Choice(["quality", "cost"]),
    default="quality",
    show_default=True,
    help="Most quality for the money, or least cost with every item served.",
)
@click.option(
    "--group-budgets", type=FILE, help="A CSV or Parquet file with the columns group, budget_usd."
)
@click.option("--frontier", type=WRITTEN, help="Draw the front of cost against quality, a PNG.")
@click.option("--points", default=20, show_default=True, help="Plans to compute for the front.")
@click.option("--out", type=WRITTEN, help="Write the plan here, CSV or Parquet by its ending.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same plan.")
@click.option("--time-limit", default=60.0, show_default=True, help="Seconds for each solve.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    estimates: Path,
    budget: str | None,
    floor: float | None,
    objective: str,
    group_budgets: Path | None,
    frontier: Path | None,
    points: int,
    out: Path | None,
    seed: int,
    time_limit: float,
    as_json: bool,
) -> None:
    """Choose an option for every item of ESTIMATES, a CSV or Parquet file.

    The file has one row for each item and option, in any order, with the columns

    \b
      item_id   text: what is to be done
      option    text: a way to do it, like a model's name
      quality   a number: how good that would be, mostly between 0 and 1
      cost_usd  a number: what it would cost, at least 0
      group     text, optional: whose budget pays (see --group-budgets)
      tokens    a number, optional: added up in the output

    An item that has no row for an option cannot have it.  The plan is the best there is, to
    within the gap that is printed: no plan has a value above the bound.  What the money does not
    cover is deferred, and has no option in the plan.  Each budget's price says what one more
    dollar would buy.  No database is touched.

    \b
      apportion assign estimates.csv --budget 10 --out plan.csv
      apportion assign estimates.parquet --objective cost --floor 0.8 --json
      apportion assign estimates.csv --budget 10 --frontier front.png
    """
    # Arrow and the solver take a second to load; the help should not.
    from scheduler.cli import assign_problem, assign_reading, assign_reporting
    from scheduler.optimise.problem import Objective
    from scheduler.optimise.solve import solve

    started = time.perf_counter()
    read = assign_reading.read_estimates(estimates)
    problem = assign_problem.problem_of(
        read,
        objective=Objective.COST if objective == "cost" else Objective.VALUE,
        budget_nusd=None if budget is None else nusd_from_usd(budget),
        floor=floor,
        budgets=assign_problem.group_budgets(group_budgets, read) if group_budgets else {},
    )
    loaded = time.perf_counter()
    result = solve(problem, seed=seed, time_limit_s=time_limit, gap=1e-6, alternatives=1)
    summary = assign_reporting.summary(read, problem, result, load_s=loaded - started)
    if out and result.has_plan:
        assign_reporting.write_plan(out, read, result)
    if frontier and result.has_plan:
        summary |= assign_reporting.draw(
            frontier, read, problem, result, points=points, seed=seed, time_limit_s=time_limit
        )
    _print(summary, as_json=as_json)
    if not result.has_plan:
        sys.exit(1)


def _print(summary: dict[str, Any], *, as_json: bool) -> None:
    from scheduler.cli.printing import json_line

    if as_json:
        click.echo(json_line(summary))
        return
    for line in lines_of(summary):
        click.echo(line)


def lines_of(summary: dict[str, Any]) -> list[str]:
    """*summary* as a person reads it."""
    if summary["conflict"] or summary["value"] is None:
        reasons = [f"  {each['plain']}" for each in summary["conflict"]]
        return [f"{summary['status']}: no plan keeps every limit", *reasons]
    served = summary["items"] - summary["deferred"]
    lines = [
        f"{summary['status']}: {served:,} of {summary['items']:,} items served, "
        f"{summary['deferred']:,} deferred",
        f"value {summary['value']:.6g}, bound {summary['bound']:.6g}, gap {summary['gap']:.2g}",
        f"cost {usd_text(summary['cost_nusd'])}",
    ]
    lines += [f"  {each['plain']}" for each in summary["rows"]]
    lines += [f"  {count:>9,}  {option}" for option, count in summary["chosen"].items()]
    lines.append(
        f"read in {summary['load_seconds']:.2f} s, solved in {summary['seconds']:.2f} s "
        f"({summary['passes']} passes)"
    )
    return lines
