"""How many tokens a document and its answer have, without a tokenizer."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.errors import UnknownFamily, UnknownVersion
from scheduler.estimate.features import TOKEN_STATS

Floats = NDArray[np.float64]

FORMAT: Final = 1
ANY: Final = "*"
"""Stands for every offer of a task that was not observed itself."""
WORTH: Final = 20.0
"""How many observations a task's common lengths are worth to one offer."""
RATE_SPREAD: Final = 0.2
"""Standard deviation of a tokenizer's rates around the shipped ones, as a share of them."""
RATE_LEAST: Final = 0.05
"""Tokens per byte that a rate is taken to be, at least, when that share is taken."""
FOREIGN: Final = 3.0
"""A report that is off by this factor is not of the document; nothing is learned from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A tokenizer family: `tokens = stats . rates`, off by a relative *spread* (of logs)."""

    rates: tuple[float, ...]
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What one offer reports: `tokens = factor * (stats . rates) + overhead`."""

    factor: float
    overhead: float
    spread: float
    count: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLength:
    """An answer's length: its logarithm is `start + slope * log(input tokens)`, off by *spread*."""

    start: float
    slope: float
    spread: float
    count: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What providers reported for n calls.

    Attributes:
        stats: (n, TOKEN_STATS) int32 of all that was sent: document and prompt.
        family, offer, task: (n,) names.
        input_tokens, output_tokens: (n,) as billed.
        cut: (n,) whether the answer ended at its limit, so that it would have been longer.
    """

    stats: NDArray[np.int32]
    family: Sequence[str]
    offer: Sequence[str]
    task: Sequence[str]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    cut: NDArray[np.bool_] | None = None


def _shipped(part: str) -> dict[str, Any]:
    table = json.loads(files("scheduler.estimate").joinpath("token_table.json").read_text())
    return dict(table[part])


def _shipped_families() -> dict[str, Family]:
    return {
        name: Family(rates=tuple(one["rates"]), spread=one["spread"])
        for name, one in _shipped("families").items()
    }


def _shipped_answers() -> dict[tuple[str, str], AnswerLength]:
    return {
        (task, ANY): AnswerLength(start=one["start"], slope=one["slope"], spread=one["spread"])
        for task, one in _shipped("answers").items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenModel:
    """Tokens of documents per tokenizer family, and of answers per (task, offer).

    Attributes:
        families: by name; the shipped table by default.
        corrections: by offer, what was learned from the usage it reported.
        answers: by (task, offer), where the offer may be `ANY`.
    """

    families: Mapping[str, Family] = field(default_factory=_shipped_families)
    corrections: Mapping[str, Correction] = field(default_factory=dict)
    answers: Mapping[tuple[str, str], AnswerLength] = field(default_factory=_shipped_answers)

    def input_tokens(
        self,
        stats: NDArray[np.int32],
        *,
        family: str,
        offer: str | None = None,
        level: float = 0.95,
    ) -> tuple[Floats, Floats]:
        """Mean and quantile at *level*, each (n,), of the tokens of texts with these *stats*.

        Stats add up: for a prompt with a document in it, add the prompt's own row.

        Raises:
            UnknownFamily: there are no ratios for *family*.
        """
        if family not in self.families:
            raise UnknownFamily(family=family, known=tuple(sorted(self.families)))
        known = self.families[family]
        mean = stats.astype(np.float64) @ np.asarray(known.rates)
        spread = known.spread
        if offer is not None and offer in self.corrections:
            own = self.corrections[offer]
            mean, spread = own.factor * mean + own.overhead, own.spread
        return mean, np.ceil(mean * np.exp(NormalDist().inv_cdf(level) * spread))

    def output_tokens(
        self,
        input_tokens: Floats,
        *,
        task: str,
        offer: str,
        output_limit: int,
        level: float = 0.95,
    ) -> tuple[Floats, Floats]:
        """Mean and quantile at *level*, each (n,), of the tokens of the answers.

        Neither exceeds *output_limit*, which the call asks the provider to keep.
        """
        length = self.answers.get((task, offer)) or self.answers.get((task, ANY)) or _UNKNOWN
        middle = length.start + length.slope * np.log(np.maximum(input_tokens, 1.0))
        mean = np.exp(middle + length.spread**2 / 2)
        most = np.ceil(np.exp(middle + NormalDist().inv_cdf(level) * length.spread))
        return np.minimum(mean, output_limit), np.minimum(most, output_limit)

    def learned(self, usage: Usage) -> "TokenModel":
        """This model, with what providers reported in *usage*.

        How many tokens a byte of each script has is a matter of the tokenizer, and learned from all
        offers of its family; how many more or fewer an offer reports for all texts is its own.
        """
        corrections, answers = dict(self.corrections), dict(self.answers)
        offers, tasks = np.asarray(usage.offer), np.asarray(usage.task)
        families = self._taught_families(usage)
        taught = replace(self, families=families)
        for offer in np.unique(offers).tolist():
            corrections[offer] = taught._corrected(usage, offers == offer)
        for task in np.unique(tasks).tolist():
            mine = tasks == task
            common = _fitted_length(usage, mine, self.answers.get((task, ANY), _UNKNOWN))
            answers[(task, ANY)] = common
            for offer in np.unique(offers[mine]).tolist():
                answers[(task, offer)] = _fitted_length(usage, mine & (offers == offer), common)
        return replace(self, families=families, corrections=corrections, answers=answers)

    def _taught_families(self, usage: Usage) -> dict[str, Family]:
        """The families, those in *usage* with rates that its reports have moved.

        The scale is each offer's own, so only the rates' proportions move.
        """
        families = dict(self.families)
        offers, named = np.asarray(usage.offer), np.asarray(usage.family)
        shipped = replace(self, families={**self.families, **_shipped_families()})
        for name in sorted(set(usage.family) & set(families)):
            tokens = np.zeros(len(offers))
            for offer in np.unique(offers[named == name]).tolist():
                mine = (named == name) & (offers == offer)
                own = shipped._corrected(usage, mine)
                tokens[mine] = (usage.input_tokens[mine] - own.overhead) / own.factor
            mine = named == name
            families[name] = _moved(shipped.families[name], usage.stats[mine], tokens[mine])
        return families

    def _corrected(self, usage: Usage, mine: NDArray[np.bool_]) -> Correction:
        """Correction of the offer whose calls are *mine*, near none where they are few."""
        family = self.families.get(usage.family[int(np.flatnonzero(mine)[0])], _PLAIN)
        expected = usage.stats[mine].astype(np.float64) @ np.asarray(family.rates)
        found = usage.input_tokens[mine].astype(np.float64)
        # Relative errors count alike for short and long texts; the prior is `factor = 1`.
        weight = 1.0 / np.maximum(expected, 20.0)
        columns = np.stack([expected * weight, weight], 1)
        bend = columns.T @ columns + np.diag([2.0, 2.0 / 50.0**2])
        factor, overhead = np.linalg.solve(bend, columns.T @ (found * weight) + [2.0, 0.0])
        off = np.log(np.maximum(found, 1) / np.maximum(factor * expected + overhead, 1))
        square = (np.sum(off**2) + 5 * family.spread**2) / (len(off) + 5)
        return Correction(
            factor=float(factor),
            overhead=float(overhead),
            spread=float(np.sqrt(square)),
            count=float(mine.sum()),
        )

    def to_dict(self) -> dict[str, Any]:
        """The model as plain values that JSON can hold."""
        return {
            "format": FORMAT,
            "families": {
                name: [list(one.rates), one.spread] for name, one in sorted(self.families.items())
            },
            "corrections": {
                name: [one.factor, one.overhead, one.spread, one.count]
                for name, one in sorted(self.corrections.items())
            },
            "answers": [
                [*key, one.start, one.slope, one.spread, one.count]
                for key, one in sorted(self.answers.items())
            ],
        }

    @staticmethod
    def from_dict(body: Mapping[str, Any]) -> "TokenModel":
        """The model that `to_dict` wrote.

        Raises:
            UnknownVersion: it was written in another format.
        """
        if body.get("format") != FORMAT:
            raise UnknownVersion(kind="tokens", version=body.get("format"))
        return TokenModel(
            families={
                name: Family(rates=tuple(rates), spread=spread)
                for name, (rates, spread) in body["families"].items()
            },
            corrections={
                name: Correction(factor=one[0], overhead=one[1], spread=one[2], count=one[3])
                for name, one in body["corrections"].items()
            },
            answers={
                (task, offer): AnswerLength(start=start, slope=slope, spread=spread, count=count)
                for task, offer, start, slope, spread, count in body["answers"]
            },
        )

    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of the model."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).digest()


_UNKNOWN: Final = AnswerLength(start=float(np.log(150.0)), slope=0.0, spread=0.8)
_PLAIN: Final = Family(rates=(0.25,) * 16 + (0.0,) * (TOKEN_STATS - 16), spread=0.2)


def _moved(before: Family, stats: NDArray[np.int32], tokens: Floats) -> Family:
    """*before* with rates nearer to what texts with these *stats* (n, .) had: *tokens* (n,).

    The most probable rates, where they are normal around those before by `RATE_SPREAD`, and
    relative errors are normal by the family's spread; none below 0.
    """
    rates = np.asarray(before.rates)
    expected = np.maximum(stats.astype(np.float64) @ rates, 20.0)
    alike = (tokens * FOREIGN > expected) & (tokens < expected * FOREIGN)
    columns = stats[alike] / expected[alike, None]
    off = tokens[alike] / expected[alike] - columns @ rates
    drawn = (before.spread / (RATE_SPREAD * np.maximum(rates, RATE_LEAST))) ** 2
    step = np.linalg.solve(columns.T @ columns + np.diag(drawn), columns.T @ off)
    return replace(before, rates=tuple(np.maximum(rates + step, 0.0).tolist()))


def _fitted_length(usage: Usage, mine: NDArray[np.bool_], common: AnswerLength) -> AnswerLength:
    """Length of the answers in *mine*, near *common* where they are few."""
    asked = np.log(np.maximum(usage.input_tokens[mine], 1).astype(np.float64))
    said = np.log(np.maximum(usage.output_tokens[mine], 1).astype(np.float64))
    off = said - common.start - common.slope * asked
    middle = asked.mean()
    # Two coefficients on centred columns, so that the slope's ridge does not move the level.
    shift = off.sum() / (len(off) + WORTH)
    spread_in = np.sum((asked - middle) ** 2)
    slope = np.sum((asked - middle) * off) / (spread_in + WORTH)
    left = off - shift - slope * (asked - middle)
    square = (np.sum(left**2) + WORTH * common.spread**2) / (len(off) + WORTH)
    spread = float(np.sqrt(square))
    if usage.cut is not None:
        # An answer cut at its limit would have been longer: widen by the share of such.
        spread *= 1.0 + float(usage.cut[mine].mean())
    return AnswerLength(
        start=float(common.start + shift - slope * middle),
        slope=float(common.slope + slope),
        spread=spread,
        count=float(mine.sum()),
    )
