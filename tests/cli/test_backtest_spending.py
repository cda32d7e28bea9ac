"""What a plan may cost, and the budgets that are kept by it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scheduler.estimate.learning import HeldBack
from scheduler.reporting.backtest.cautious import cautious_plans
from scheduler.reporting.backtest.data import Outcomes
from scheduler.reporting.backtest.estimates import Trial
from scheduler.reporting.backtest.run import Settings, run_seeds
from scheduler.reporting.backtest.simple import mixtures
from scheduler.reporting.backtest.spending import KEPT_MOST, NEAR, Spending
from tests.cli.test_backtest import made, run, written
from tests.cli.test_backtest_doubt import COSTS, doubted
from tests.cli.test_backtest_doubt import ITEMS as DOUBTED

Floats = NDArray[np.float64]

ITEMS = 400
EACH_USD = 0.01


def spending(paid_usd: Floats, groups: int | None = None, new_groups: int = 10) -> Spending:
    """What items that were thought to cost `EACH_USD` teach, in *groups* of like size."""
    names = None
    if groups is not None:
        ours = [f"g{at % groups}" for at in range(len(paid_usd))]
        names = ours, [f"new{at % new_groups}" for at in range(ITEMS)]
    expected = np.full(paid_usd.shape, EACH_USD)
    return Spending.of(expected, paid_usd, groups=names, items=ITEMS, level=0.9)


def most_share(found: Spending) -> float:
    """What the first model everywhere costs at most, over what is expected."""
    plan = np.zeros(ITEMS, np.int32)
    models = len(found.unit_usd)
    [most] = found.most_usd([plan], np.full((ITEMS, models), EACH_USD))
    return float(most / (ITEMS * EACH_USD))


def varied(seed: int, *, single: float, groups: int = 1, apart: float = 0.0) -> Floats:
    """(ITEMS, 2) costs that vary by item, and from group to group."""
    rng = np.random.default_rng(seed)
    group = rng.normal(1, apart, (groups, 1))[np.arange(ITEMS) % groups]
    return np.asarray(EACH_USD * np.maximum(group + rng.normal(0, single, (ITEMS, 2)), 0))


def test_costs_that_are_well_known_keep_nothing_back() -> None:
    assert most_share(spending(varied(0, single=0.01))) < 1.01
    assert most_share(spending(varied(0, single=0.01, groups=6), groups=6)) < 1.01


@pytest.mark.parametrize("groups", [None, 20])
def test_a_budget_is_kept_as_often_as_the_level_says(groups: int | None) -> None:
    apart = 0.0 if groups is None else 0.3
    kept = 0
    for seed in range(200):
        seen = varied(seed, single=0.5, groups=groups or 1, apart=apart)
        drawn = varied(1_000 + seed, single=0.5, groups=groups or 1, apart=apart)
        # The model has learned its mean from the very items that teach the doubt.
        found = spending(seen - seen.mean(0) + EACH_USD, groups, new_groups=groups or 1)
        kept += drawn[:, 0].sum() <= most_share(found) * seen[:, 0].sum()

    assert 0.84 <= kept / 200 <= 0.96


def test_the_fewer_groups_were_seen_the_more_is_kept_back() -> None:
    few, some, many = (
        float(np.mean([most_share(spending(varied(seed, single=0.3, groups=count, apart=0.2),
                                           count)) for seed in range(20)]))
        for count in (4, 10, 40)
    )  # fmt: skip

    assert few - 1 > 1.2 * (some - 1) > 1.2 * 1.2 * (many - 1)


def test_most_of_a_budget_is_never_kept_back() -> None:
    wild = EACH_USD * np.random.default_rng(0).lognormal(0, 3, (ITEMS, 2))

    assert most_share(spending(wild, groups=2)) == pytest.approx(1 / (1 - KEPT_MOST))


def test_a_plan_is_held_to_what_keeps_its_budget_and_spends_nearly_that() -> None:
    found = spending(varied(0, single=0.5, groups=8, apart=0.3), groups=8)
    cost = np.stack([np.full(ITEMS, EACH_USD), np.full(ITEMS, 10 * EACH_USD)], 1)
    budgets = np.geomspace(0.5, 12, 9) * ITEMS * EACH_USD

    def by_lot(limits: Sequence[float]) -> list[NDArray[np.int32]]:
        return mixtures([0, 1], cost, budgets_usd=limits, seed=0)

    made = found.held(by_lot, cost, budgets_usd=budgets.tolist())

    assert (made.most_usd <= budgets * (1 + NEAR)).all()
    assert (made.most_usd >= 0.95 * np.minimum(budgets, made.most_usd[-1])).all()
    np.testing.assert_allclose(made.most_usd, found.most_usd(made.plans, cost))


def trial(expected_usd: Floats, cost_usd: Floats) -> Trial:
    ones = np.ones(cost_usd.shape)
    every = np.arange(len(cost_usd))
    held = HeldBack(
        documents=every,
        offers=("a", "b"),
        quality=ones,
        plain=ones,
        logits=ones,
        score=ones,
        weight=ones,
        cluster=every,
    )
    return Trial(
        held=held, models=("a", "b"), score=ones, cost_usd=cost_usd, expected_usd=expected_usd
    )


def test_what_looks_cheap_costs_more_than_is_said_and_a_lot_does_not() -> None:
    rng = np.random.default_rng(0)
    cost = np.full((ITEMS, 2), EACH_USD)
    found = trial(cost * np.maximum(rng.normal(1, 0.2, (ITEMS, 2)), 0.1), cost)

    cheapest = found.expected_usd.argmin(1).astype(np.int32)
    assert found.more([cheapest]) > 0.08
    assert found.more([rng.integers(0, 2, ITEMS).astype(np.int32)]) < 0.02


def customers(*, apart: float) -> Outcomes:
    """Items of customers whose answers are unlike in length."""
    data = made(120)
    rng = np.random.default_rng(3)
    own = rng.lognormal(0, apart, 10)[np.arange(120) % 10]
    return replace(data, cost_usd=data.cost_usd * own[:, None] * rng.lognormal(0, 0.3, (120, 3)))


@pytest.mark.parametrize("split", ["random", "group:customer"])
def test_no_test_cost_touches_a_plan_a_budget_or_what_is_kept_back(split: str) -> None:
    data, settings = customers(apart=0.5), Settings(split=split, seeds=1)
    [plans] = run_seeds(data, settings)
    cost = data.cost_usd.copy()
    cost[plans.split.test] = np.random.default_rng(9).permutation(cost[plans.split.test]) * 5

    [again] = run_seeds(replace(data, cost_usd=cost), settings)

    assert plans.budgets_usd == again.budgets_usd
    assert plans.learned.more == again.learned.more
    np.testing.assert_array_equal(plans.learned.spending.off.mean, again.learned.spending.off.mean)
    for before, after in zip(plans.plans, again.plans, strict=True):
        np.testing.assert_array_equal(before, after)


def test_customers_never_seen_keep_the_budgets() -> None:
    [plans] = run_seeds(customers(apart=0.5), Settings(split="group:customer", seeds=1))
    found, expected = plans.learned.spending, plans.expected_usd

    most = found.most_usd(plans.plans, expected)
    assert (most <= np.array(plans.budgets_usd) * (1 + NEAR)).all()
    # The smallest budget pays for the cheapest model everywhere, at what that may cost.
    [alone] = found.most_usd([np.zeros(len(expected), np.int32)], expected)
    assert plans.budgets_usd[0] == pytest.approx(alone)
    assert alone > 1.1 * expected[:, 0].sum()


def test_what_pays_for_the_cheapest_model_everywhere_leaves_no_item_out() -> None:
    cost = np.tile(COSTS, (DOUBTED, 1))
    rng = np.random.default_rng(0)
    # The dearer models' costs are known less well, so that a mixture is held lower still.
    paid = cost * rng.lognormal(0, (0.2, 1.5, 1.5), (10, 3))[np.arange(DOUBTED) % 10]
    names = [f"g{at % 10}" for at in range(DOUBTED)]
    found = Spending.of(cost, paid, groups=(names, names), items=DOUBTED, level=0.9)
    [alone] = found.most_usd([np.zeros(DOUBTED, np.int32)], cost)

    [plan] = cautious_plans(
        doubted(groups=1), cost, found, tells_apart=False, budgets_usd=[float(alone)], seed=0
    )

    assert (plan == 0).all()


def test_the_report_says_what_was_spent_of_each_budget(tmp_path: Path) -> None:
    items, outcomes = written(customers(apart=0.0), tmp_path)
    asked = ("--budgets", "0.4,0.9", "--html", str(tmp_path / "r.html"))

    report = json.loads(run(items, outcomes, *asked, "--json"))
    text = run(items, outcomes, *asked)

    shares = [line["spent_share"] for line in report["seeds"][0]["lines"]]
    for share, line in zip(shares, report["seeds"][0]["lines"], strict=True):
        assert share == pytest.approx(line["cost_usd"] / line["budget_usd"])
    assert report["headline"]["spent_of_budget"]["most"] == max(shares)
    assert report["headline"]["budgets_overspent"] == sum(share > 1.01 for share in shares)
    assert "budgets overspent by more than 1 %" in text
    for share in shares:
        assert f"{share * 100:.1f} %" in (tmp_path / "r.html").read_text()
