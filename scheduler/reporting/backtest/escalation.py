"""Answering first, judging from the answer, and paying again where it is doubtful.

In rounds: the planned offer answers; what its answer says (which answer it is, whether an
earlier one agrees) changes what every offer would be worth; the doubtful items are planned
again with the money that is left.  An item keeps the better of its last two answers.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Refused
from scheduler.estimate.heads import Grid, fitted_heads
from scheduler.estimate.logistic import logit, sigmoid
from scheduler.reporting.backtest.plans import planned

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

KINDS_MOST: Final = 6
COVERED: Final = 0.6
"""Answers are told apart by their words if so many of them are among the commonest."""
LEAST_ITEMS: Final = 30
PENALTY: Final = 20.0
SHARES: Final = ((1.0,), (0.15, 1.0), (0.3, 1.0), (0.5, 1.0), (0.1, 0.4, 1.0), (0.25, 0.6, 1.0))
"""What part of the budget may be spent by the end of each round; one round: no escalation."""


class NoAnswers(Refused):
    """Escalation judges by answers, and there are none."""

    def __init__(self) -> None:
        super().__init__("--escalate judges what was answered: the outcomes need a column `answer`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """How answers are told apart: by their words where few are common, else by their length."""

    common: tuple[str, ...]
    lengths: tuple[float, ...]

    @staticmethod
    def of(answers: NDArray[np.object_], known: NDArray[np.bool_]) -> "Kinds":
        """The kinds that tell these *answers* (n, m), where *known*, apart."""
        said = [_normal(answer) for answer in answers[known].tolist()]
        commonest = Counter(said).most_common(KINDS_MOST)
        if said and sum(count for _, count in commonest) >= COVERED * len(said):
            return Kinds(common=tuple(answer for answer, _ in commonest), lengths=())
        edges = np.quantile([len(answer) for answer in said] or [0], [1 / 3, 2 / 3])
        return Kinds(common=(), lengths=tuple(edges.tolist()))

    def kind(self, answers: NDArray[np.object_]) -> Places:
        """The kind of each answer, from 0 up."""
        flat = [_normal(answer) for answer in answers.ravel().tolist()]
        if self.common:
            at = {answer: place for place, answer in enumerate(self.common)}
            found = np.array([at.get(answer, len(at)) for answer in flat], np.int64)
        else:
            found = np.searchsorted(np.array(self.lengths), [len(one) for one in flat])
        return found.reshape(answers.shape).astype(np.int64)


def _normal(answer: str) -> str:
    return " ".join(str(answer).lower().split()).strip(" .!\"'")


@dataclass(slots=True, kw_only=True)
class Judge:
    """What answers say about the worth of every model, learned from training items.

    Attributes:
        said: (n, m) logits that the models would be right, before any call, on items that
            the predictor had not seen.
        score: (n, m) NaN where unknown; kind: (n, m) of each answer.
    """

    said: Floats
    score: Floats
    kind: Places
    _fits: dict[tuple[int, ...], tuple[Floats, Floats] | None] = field(default_factory=dict)

    def logits(self, said: Floats, *, seen: Sequence[tuple[int, int]]) -> Floats:
        """(k, m) logits for items whose answers *seen*, (model, kind) in order, are known.

        Args:
            said: (k, m) before any call.
        """
        for key in (tuple(seen[-2:]), tuple(seen[-1:])):
            fit = self._fitted(tuple(itertools.chain(*key)))
            if fit is not None:
                heads, middle = fit
                return np.asarray(heads[0] + (said - middle) @ heads[1:])
        return said

    def _fitted(self, key: tuple[int, ...]) -> tuple[Floats, Floats] | None:
        if key not in self._fits:
            mine = np.ones(len(self.said), np.bool_)
            for model, kind in zip(key[::2], key[1::2], strict=True):
                mine &= (self.kind[:, model] == kind) & ~np.isnan(self.score[:, model])
            self._fits[key] = self._fit(mine) if mine.sum() >= LEAST_ITEMS else None
        return self._fits[key]

    def _fit(self, mine: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        score = self.score[mine]
        known = ~np.isnan(score)
        middle = self.said[mine].mean(0)
        grid = Grid(
            columns=self.said[mine] - middle,
            score=np.where(known, score, 0.0),
            weight=known.astype(np.float64),
        )
        start = 0.5 * np.eye(score.shape[1])
        return fitted_heads(grid, PENALTY, start=start), middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalated:
    """What came of answering in rounds.

    Attributes:
        final: (n,) the model whose answer is kept, -1 where none was called.
        calls: (n, rounds) the models called, -1 where none.
        spent_usd: what all calls cost.
    """

    final: NDArray[np.int32]
    calls: NDArray[np.int32]
    spent_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Items to answer, and what calling shows: answers and costs are read only once paid for.

    Attributes:
        said: (n, m) logits before any call; expected_usd: (n, m).
        kind: (n, m) of each answer; paid_usd: (n, m), NaN where there is no outcome.
    """

    said: Floats
    expected_usd: Floats
    kind: Places
    paid_usd: Floats

    def of(self, chosen: NDArray[np.bool_]) -> "Window":
        """The items where *chosen* (n,) holds."""
        return Window(
            said=self.said[chosen],
            expected_usd=self.expected_usd[chosen],
            kind=self.kind[chosen],
            paid_usd=self.paid_usd[chosen],
        )


def escalated(
    window: Window, judge: Judge, *, budget_usd: float, shares: Sequence[float], seed: int
) -> Escalated:
    """Answer the items of *window* in as many rounds as there are *shares* of the budget."""
    count, models = window.said.shape
    calls = np.full((count, len(shares)), -1, np.int32)
    final = np.full(count, -1, np.int32)
    quality = sigmoid(window.said)
    kept = np.zeros(count)
    spent = 0.0
    for turn, share in enumerate(shares):
        free = max(0.0, budget_usd * share - spent)
        # The last column is to keep the answer that is there, which costs nothing.
        options = np.hstack([quality, kept[:, None]])
        prices = np.hstack([np.where(_called(calls, models), np.nan, window.expected_usd),
                            np.zeros((count, 1))])  # fmt: skip
        choice = planned(options, prices, budget_usd=free, seed=seed)
        now = np.flatnonzero((choice >= 0) & (choice < models))
        calls[now, turn] = choice[now]
        spent += float(np.nansum(window.paid_usd[now, choice[now]]))
        _judge(window, judge, calls, now, quality, kept, final)
    return Escalated(final=final, calls=calls, spent_usd=spent)


def _called(calls: NDArray[np.int32], models: int) -> NDArray[np.bool_]:
    """(n, m) which models were called for which items."""
    found = np.zeros((len(calls), models), np.bool_)
    rows, turns = np.nonzero(calls >= 0)
    found[rows, calls[rows, turns]] = True
    return found


def _judge(
    window: Window,
    judge: Judge,
    calls: NDArray[np.int32],
    now: Places,
    quality: Floats,
    kept: Floats,
    final: NDArray[np.int32],
) -> None:
    """Bring *quality*, *kept* and *final* up to date for the items answered *now*."""
    states: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for item in now.tolist():
        seen = tuple(
            (model, int(window.kind[item, model])) for model in calls[item].tolist() if model >= 0
        )
        states.setdefault(seen[-2:], []).append(item)
    for seen, items in states.items():
        after = sigmoid(judge.logits(window.said[items], seen=seen))
        quality[items] = after
        candidates = np.array([model for model, _ in seen])
        best = after[:, candidates].argmax(1)
        final[items] = candidates[best]
        kept[items] = after[np.arange(len(items)), candidates[best]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Training items in halves: judges learn from one, and rounds are tried on the other."""

    parts: tuple[tuple[Window, Floats, Judge, float], ...]

    @staticmethod
    def of(window: Window, score: Floats, *, seed: int) -> "Rehearsal":
        """*window*'s items, with *score* (n, m), divided by *seed*."""
        half = np.random.default_rng(seed).permutation(len(score)) % 2 == 0
        return Rehearsal(
            parts=tuple(
                (
                    window.of(mine),
                    score[mine],
                    Judge(said=window.said[~mine], score=score[~mine], kind=window.kind[~mine]),
                    float(mine.mean()),
                )
                for mine in (half, ~half)
            )
        )

    def best_shares(self, *, budget_usd: float, seed: int) -> tuple[float, ...]:
        """The shares that bring most at *budget_usd*; of equals, the fewest rounds."""
        worth = dict.fromkeys(SHARES, 0.0)
        for shares in SHARES:
            for window, score, judge, part in self.parts:
                got = escalated(
                    window, judge, budget_usd=budget_usd * part, shares=shares, seed=seed
                )
                rows = np.arange(len(got.final))
                right = np.where(got.final < 0, 0.0, score[rows, np.maximum(got.final, 0)])
                worth[shares] += float(np.nansum(right))
        return max(SHARES, key=lambda shares: (worth[shares], -len(shares)))


def window_logits(quality: Floats) -> Floats:
    """*quality* as the logits that a `Window` and a `Judge` take."""
    return logit(quality)
