"""What is not known of the test items, and the plans that it forbids."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scheduler.reporting.backtest import cautious
from scheduler.reporting.backtest.cautious import RISK, cautious_plans
from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.doubt import Doubt, Prospect, Seen, doubt, prospects
from scheduler.reporting.backtest.likeness import likeness
from scheduler.reporting.backtest.run import Settings, run_seeds
from scheduler.reporting.backtest.spending import Spending
from tests.cli.test_backtest import made, only

Floats = NDArray[np.float64]

COSTS = np.array([1.0, 3.0, 10.0])
RATES = np.array([0.6, 0.75, 0.8])
ITEMS = 300


def doubted(*, groups: int | None = None, apart: float = 0.0, ahead: float = 0.0) -> Doubt:
    """Doubt about items like those seen, but in *groups* whose models differ by *apart*, or
    more like the test items than those by *ahead*."""
    rng = np.random.default_rng(0)
    off = (rng.random((ITEMS, 3)) < RATES).astype(float) - RATES
    names = None
    if groups is not None:
        at = np.arange(ITEMS) % groups
        off += rng.normal(0, apart, (groups, 3))[at]
        names = [str(one) for one in at]
    return doubt(
        Seen(off=off, counts=np.full(3, float(ITEMS)), groups=names),
        np.tile(RATES, (ITEMS, 1)),
        np.tile(COSTS, (ITEMS, 1)),
        like_test=(rng.normal(0, 1, ITEMS), rng.normal(ahead, 1, ITEMS)),
        groups=None if names is None else ["new"] * ITEMS,
    )


def sure(cost_usd: Floats) -> Spending:
    """Costs that were always as expected."""
    return Spending.of(cost_usd, cost_usd, groups=None, items=len(cost_usd), level=0.9)


def chance_worse(doubts: Doubt, model: int) -> float:
    """That of having *model* do everything."""
    plan = np.full(ITEMS, model, np.int32)
    found = prospects(doubts, [plan], np.tile(COSTS, (ITEMS, 1)), seed=0)
    return float(found.worse[0])


def test_the_cheapest_model_everywhere_is_what_any_mixture_at_its_cost_is() -> None:
    for doubts in (doubted(), doubted(groups=2), doubted(ahead=5.0)):
        assert chance_worse(doubts, 0) == 0


def test_few_groups_leave_more_in_doubt_than_many() -> None:
    few, some, many = (chance_worse(doubted(groups=count), 1) for count in (1, 4, 60))

    assert few > some > many


def test_groups_that_differ_leave_more_in_doubt() -> None:
    assert chance_worse(doubted(groups=30, apart=0.2), 1) > 2 * chance_worse(doubted(groups=30), 1)


def test_items_unlike_those_seen_leave_more_in_doubt() -> None:
    assert chance_worse(doubted(ahead=5.0), 1) > 2 * chance_worse(doubted(), 1)


def test_the_best_of_many_models_owes_more_to_luck() -> None:
    rng = np.random.default_rng(1)
    off = rng.integers(0, 2, (50, 30)) - 0.5
    quality = np.tile(0.5 + off.mean(0), (50, 1))
    seen = Seen(off=off, counts=np.full(30, 50.0), groups=None)

    found = doubt(seen, quality, np.tile(np.arange(1.0, 31.0), (50, 1)),
                  like_test=(np.zeros(50), np.zeros(50)), groups=None)  # fmt: skip

    assert np.ptp(found.quality[0]) < 0.5 * np.ptp(quality[0])


def test_what_may_well_be_worse_than_a_lot_is_not_planned() -> None:
    doubts, cost = doubted(groups=1), np.tile(COSTS, (ITEMS, 1))
    budgets = np.geomspace(ITEMS, 10 * ITEMS, 6).tolist()

    plans = cautious_plans(doubts, cost, sure(cost), tells_apart=True, budgets_usd=budgets, seed=0)

    assert (prospects(doubts, plans, cost, seed=0).worse <= RISK).all()
    assert all((plan == 0).all() for plan in plans)


def test_who_takes_the_risk_spends_the_money() -> None:
    doubts, cost = doubted(groups=1), np.tile(COSTS, (ITEMS, 1))

    [careful], [bold] = (
        cautious_plans(
            doubts,
            cost,
            sure(cost),
            tells_apart=False,
            budgets_usd=[10.0 * ITEMS],
            seed=0,
            risk=risk,
        )
        for risk in (0.05, 1.0)
    )

    assert cost[0, careful].sum() < cost[0, bold].sum()
    assert doubts.quality[0, careful].sum() < doubts.quality[0, bold].sum()


def test_no_item_is_left_out_that_the_money_would_have_paid_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cost = np.tile(COSTS, (ITEMS, 1))

    def only_gaps(_: Doubt, plans: Sequence[NDArray[np.int32]], *__: Any, **___: Any) -> Prospect:
        """Whatever leaves items out is held for the best, and sure."""
        gaps = np.array([(plan < 0).any() for plan in plans])
        usd = [cost[0, plan[plan >= 0]].sum() for plan in plans]
        return Prospect(worse=1.0 - gaps, quality=1.0 * gaps, cost_usd=np.array(usd))

    monkeypatch.setattr(cautious, "prospects", only_gaps)
    plans = cautious_plans(
        doubted(),
        cost,
        sure(cost),
        tells_apart=False,
        budgets_usd=(ITEMS / 2, 5.0 * ITEMS),
        seed=0,
    )

    assert (plans[0] < 0).any()
    assert (plans[1] >= 0).all()


def test_a_split_by_lot_is_told_from_one_by_kind() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(0, 0.05, (400, 538)).astype(np.float32)
    ours, theirs = likeness(features[:200], features[200:], seed=0)
    assert theirs.mean() - ours.mean() < 0.5 * ours.std()

    features[200:, :20] += 0.05
    ours, theirs = likeness(features[:200], features[200:], seed=0)
    assert theirs.mean() - ours.mean() > 2 * ours.std()


def one_sided(data: Outcomes, *, answers: bool) -> Outcomes:
    """*data*, split by the right answer: learn where it is "no"."""
    assert data.answers is not None
    right = np.where(data.score > 0, data.answers, "").max(1)
    side = tuple("train" if answer == "no" else "test" for answer in right.tolist())
    return replace(data, columns={"side": side}, answers=data.answers if answers else None)


@pytest.mark.parametrize("answers", [True, False])
def test_items_with_one_right_answer_are_taken_for_one_group(answers: bool) -> None:
    data = one_sided(made(), answers=answers)
    [plans] = run_seeds(data, Settings(split="column:side", seeds=1, budgets_usd=(1.0,)))

    assert (plans.learned.groups is not None) == answers


def test_a_column_that_a_told_split_keeps_apart_is_a_group_never_seen() -> None:
    data = made(320)
    source = ["ours" if side == "train" else "theirs" for side in data.columns["split"]]
    data = replace(data, columns={"split": data.columns["split"], "source": tuple(source)})

    assert only(data, split="column:split").split.grouped_by == "source"


def test_models_of_one_price_but_for_rounding_lie_on_no_line() -> None:
    seen = Seen(off=np.zeros((40, 3)), counts=np.full(3, 40.0), groups=None)
    quality = np.tile([0.5, 0.6, 0.7], (20, 1))
    # The mean of three such logarithms is another number.
    cost = np.full((20, 3), 0.002)

    found = doubt(seen, quality, cost, like_test=(np.zeros(40), np.zeros(20)), groups=None)

    assert np.isfinite(found.quality).all()
    assert np.isfinite(found.mean).all()
