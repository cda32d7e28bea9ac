"""`apportion advise`: what an answer is worth, and what that depends on most."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from scheduler.cli.paths import WRITTEN
from scheduler.cli.printing import print_json, print_tables, table
from scheduler.domain.errors import Refused

Floats = NDArray[np.float64]
Ranges = Mapping[str, tuple[float, float]]
"""The lowest and highest value of each input."""

PICTURES = (".png", ".svg")
MEANINGS = {
    "gain": "what a good answer is worth (G)",
    "loss": "what a bad one costs (L)",
    "p": "probability of a good answer",
    "price": "cost of one answer",
}


class BadRange(Refused):
    """A range that is none."""

    def __init__(self, option: str, text: str) -> None:
        super().__init__(
            f"{option} {text!r} is not a range; write LOW:HIGH, like 0.5:2, or one number from 0 on"
        )
        self.option = option
        self.text = text


class ImpossibleRange(Refused):
    """A range that does not fit what is asked."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")
        self.option = option
        self.reason = reason


class Range(click.ParamType["tuple[float, float]"]):
    """LOW:HIGH, or one number for both."""

    name = "LOW:HIGH"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002 - click passes it
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        option = param.opts[0] if param else "the range"
        parts = str(value).split(":")
        try:
            low, high = float(parts[0]), float(parts[-1])
        except ValueError:
            raise BadRange(option, str(value)) from None
        if len(parts) > 2 or not (0 <= low <= high < np.inf):
            raise BadRange(option, str(value))
        return low, high


@click.group("advise")
def command() -> None:
    """Advice on what is worth paying for."""


@command.command("roi")
@click.option(
    "--gain",
    type=Range(),
    default="0.5:2",
    show_default=True,
    help="USD that a good answer is worth.",
)
@click.option(
    "--loss", type=Range(), default="0:1", show_default=True, help="USD that a bad answer costs."
)
@click.option(
    "--p",
    "probability",
    type=Range(),
    default="0.7:0.95",
    show_default=True,
    help="Probability of a good answer.",
)
@click.option(
    "--price",
    type=Range(),
    default="0.001:0.05",
    show_default=True,
    help="USD that one answer costs.",
)
@click.option(
    "--of",
    "objective",
    type=click.Choice(["earnings", "roi"]),
    default="earnings",
    show_default=True,
    help="Expected earnings per answer, or earnings per dollar.",
)
@click.option(
    "--samples",
    type=click.IntRange(64, 1_048_576),
    default=16_384,
    show_default=True,
    help="How many combinations of the ranges are drawn.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--plot", type=WRITTEN, help="Draw the indices into this file (.png or .svg).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")  # fmt: skip
def roi(
    *,
    gain: tuple[float, float],
    loss: tuple[float, float],
    probability: tuple[float, float],
    price: tuple[float, float],
    objective: str,
    samples: int,
    seed: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Which of gain, loss, probability and price moves the return most.

    An answer is good with probability p, is then worth G, else costs L, and costs its price
    either way: E = G p - L (1 - p) - price, and RoI = E / price. Over the ranges given, Sobol
    indices say what part of the variation is due to each: `alone` without, `in all` with what
    it does together with the others. What matters most is worth measuring first.

    \b
    apportion advise roi --gain 1:5 --loss 0:20 --p 0.8:0.95 --price 0.002:0.03
    """
    if plot is not None and plot.suffix not in PICTURES:
        raise click.BadParameter(f"{plot}: write .png or .svg", param_hint="--plot")
    ranges = {"gain": gain, "loss": loss, "p": probability, "price": price}
    _refuse_impossible(ranges, objective=objective)
    answer = _advice(ranges, objective=objective, samples=samples, seed=seed)
    if plot is not None:
        _plot(plot, answer)
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _refuse_impossible(ranges: Ranges, *, objective: str) -> None:
    if ranges["p"][1] > 1:
        raise ImpossibleRange("--p", "a probability is at most 1")
    if ranges["gain"][1] + ranges["loss"][1] <= 0:
        raise ImpossibleRange("--gain", "an answer that is worth nothing needs no advice")
    if objective == "roi" and ranges["price"][0] <= 0:
        raise ImpossibleRange("--price", "a return on nothing spent is no number; start above 0")


def _advice(ranges: Ranges, *, objective: str, samples: int, seed: int) -> dict[str, Any]:
    from scheduler.estimate.sensitivity import sobol_indices
    from scheduler.estimate.value import break_even, earnings_usd, return_on_cost

    def result(inputs: Mapping[str, Floats]) -> Floats:
        value = earnings_usd if objective == "earnings" else return_on_cost
        return value(
            inputs["p"],
            gain_usd=inputs["gain"],
            loss_usd=inputs["loss"],
            cost_usd=inputs["price"],
        )

    found = sobol_indices(result, ranges, samples=samples, seed=seed)
    middle = {name: np.array([(low + high) / 2]) for name, (low, high) in ranges.items()}
    even = float(
        break_even(gain_usd=middle["gain"], loss_usd=middle["loss"], cost_usd=middle["price"])[0]
    )
    return {
        "objective": objective,
        "ranges": {name: list(edges) for name, edges in ranges.items()},
        "at_the_middle": float(result(middle)[0]),
        "break_even_p": even,
        "influences": [asdict(one) for one in found],
        "samples": samples,
        "seed": seed,
    }


def _print(answer: Mapping[str, Any]) -> None:
    objective, found, even = answer["objective"], answer["influences"], answer["break_even_p"]
    rows = [
        (MEANINGS[one["name"]], f"{one['first']:.3f} ± {one['first_error']:.3f}",
         f"{one['total']:.3f} ± {one['total_error']:.3f}")
        for one in found
    ]  # fmt: skip
    print_tables([table(f"What moves {objective} most", ("input", "alone", "in all"), rows)])
    unit = "USD per answer" if objective == "earnings" else "USD per dollar spent"
    click.echo(f"In the middle of the ranges: {answer['at_the_middle']:.4g} {unit}.")
    click.echo(f"There, an answer pays from p = {even:.3f} on.")
    if found[0]["total"] > 0:
        click.echo(f"Measure {MEANINGS[found[0]['name']]} first: it moves the result most.")
    else:
        click.echo("Nothing moves it: give at least one of the inputs as a range, like 0.5:2.")


def _plot(path: Path, answer: Mapping[str, Any]) -> None:
    """Bars of both indices, with their intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    shown = answer["influences"][::-1]
    figure = Figure(figsize=(7, 1.2 + 0.7 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    for key, shift, color, label in (
        ("total", -0.18, "#2457c5", "in all"),
        ("first", 0.18, "#9db8ef", "alone"),
    ):
        axes.barh(
            places + shift,
            [one[key] for one in shown],
            height=0.34,
            xerr=[one[f"{key}_error"] for one in shown],
            color=color,
            label=label,
        )
    axes.set_yticks(places, [MEANINGS[one["name"]] for one in shown])
    axes.set_xlabel(f"share of the variation of {answer['objective']}")
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", frameon=False, reverse=True)  # as the bars stand
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
