"""Whether plans are as often bad as was thought: `python -m benchmarks.doubts`.

On made-up worlds (`benchmarks.stress`), or on a table of one's own, every budget gets the plan of
the highest expected quality, however likely a bad one (`--risk 1`).  Prints a JSON line per world,
and one of all together: the chance of being significantly worse than the best mixture in
hindsight that the plans were said to have, and how many were.  The baseline is to say of every plan
what is true of all together; both are judged by their Brier scores.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.stress import WORLDS, made
from scheduler.reporting.backtest.data import Outcomes, read_outcomes
from scheduler.reporting.backtest.doubt import prospects
from scheduler.reporting.backtest.estimates import Described
from scheduler.reporting.backtest.run import Settings, run_seeds
from scheduler.reporting.backtest.summary import summarized

Floats = NDArray[np.float64]

EDGES: Final = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Chances between these are counted together."""
UNSEEN: Final = (
    "templates", "few templates", "unlike", "tasks", "unseen tasks", "untold templates",
)  # fmt: skip


def said_and_came(data: Outcomes, settings: Settings) -> Iterator[tuple[float, bool]]:
    """Of each budget's plan: the chance of being a bad one, and whether it was."""
    described = Described.of(data.texts, None)
    for plans in run_seeds(data, settings):
        doubts = plans.learned.doubt(
            described, plans.split, plans.quality, plans.expected_usd, seed=plans.seed
        )
        said = prospects(doubts, plans.plans, plans.expected_usd, seed=plans.seed).worse
        lines = summarized(data, plans).lines
        for chance, line in zip(said.tolist(), lines, strict=True):
            if line.gain is not None:
                yield chance, line.is_worse


def figures(found: list[tuple[float, bool]]) -> dict[str, object]:
    """How what was said compares with what came, by how likely it was said to be."""
    said, came = (np.array(column, np.float64) for column in zip(*found, strict=True))
    place = np.clip(np.searchsorted(EDGES, said, side="right") - 1, 0, len(EDGES) - 2)
    return {
        "plans": len(found),
        "said": round(float(said.mean()), 4),
        "came": round(float(came.mean()), 4),
        "brier": round(float(((said - came) ** 2).mean()), 4),
        "brier_of_their_mean": round(float(came.var()), 4),
        "by_chance": [
            {
                "from": low,
                "to": high,
                "plans": int((place == at).sum()),
                "said": round(float(said[place == at].mean()), 3),
                "came": round(float(came[place == at].mean()), 3),
            }
            for at, (low, high) in enumerate(pairwise(EDGES))
            if (place == at).any()
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", default=",".join(UNSEEN), help="names, with commas")
    parser.add_argument("--seeds", type=int, default=10, help="each another world, or split")
    parser.add_argument("--items", type=Path, help="a table of one's own, with --outcomes")
    parser.add_argument("--outcomes", type=Path)
    parser.add_argument("--split", default="random")
    asked = parser.parse_args()
    if asked.items and asked.outcomes:
        data = read_outcomes(asked.items, asked.outcomes)
        settings = Settings(split=asked.split, seeds=asked.seeds, risk=1.0)
        print(json.dumps(figures(list(said_and_came(data, settings)))))
        return
    together = []
    for name in asked.worlds.split(","):
        settings = Settings(split=WORLDS[name].split, seeds=1, risk=1.0)
        found = [
            one
            for seed in range(asked.seeds)
            for one in said_and_came(made(WORLDS[name], seed=seed), settings)
        ]
        together += found
        print(json.dumps({"world": name, "seeds": asked.seeds, **figures(found)}), flush=True)
    print(json.dumps({"world": "all", "seeds": asked.seeds, **figures(together)}))


if __name__ == "__main__":
    main()
