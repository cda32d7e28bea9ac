"""`apportion backtest`: learns from one part, plans the other, and peeks at nothing."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scheduler.cli.backtest import BadBudgets, command
from scheduler.reporting.backtest.data import BadTable, Outcomes, read_outcomes
from scheduler.reporting.backtest.escalation import NoAnswers
from scheduler.reporting.backtest.headline import headline
from scheduler.reporting.backtest.prices import NoPrice
from scheduler.reporting.backtest.run import SeedPlans, Settings, run_seeds
from scheduler.reporting.backtest.splits import BadSplit
from scheduler.reporting.backtest.summary import summarized

MODELS = {"dear": 0.02, "fair": 0.004, "cheap": 0.001}
EASY = "stir the onions in butter until golden then add cup number {}"
HARD = "the lessor shall indemnify the lessee under clause {} of this lease"


def made(count: int = 160, *, seed: int = 0) -> Outcomes:
    """Easy items that all models can do, and hard ones that only the dear one can."""
    rng = np.random.default_rng(seed)
    hard = np.arange(count) % 2 == 1
    chance = np.stack([np.where(hard, 0.15, 0.97), np.full(count, 0.9),
                       np.where(hard, 0.5, 0.97)], 1)  # fmt: skip
    truth = np.array(["yes", "no"])[rng.integers(0, 2, count)]
    score = (rng.random((count, 3)) < chance).astype(float)
    wrong = np.where(truth == "yes", "no", "yes")
    return Outcomes(
        items=tuple(f"i{at}" for at in range(count)),
        texts=tuple((HARD if hard[at] else EASY).format(at) for at in range(count)),
        columns={
            "split": tuple("train" if at % 4 < 2 else "test" for at in range(count)),
            "customer": tuple(f"c{at % 10}" for at in range(count)),
        },
        models=tuple(sorted(MODELS)),
        score=score,
        cost_usd=np.tile([MODELS[name] for name in sorted(MODELS)], (count, 1)),
        answers=np.where(score > 0, truth[:, None], wrong[:, None]).astype(object),
    )


def only(data: Outcomes, **settings: object) -> SeedPlans:
    few = Settings(seeds=1, budgets_usd=(0.1, 0.3, 0.8))
    [plans] = run_seeds(data, replace(few, **settings))  # type: ignore[arg-type]
    return plans


def written(data: Outcomes, folder: Path, *, answers: bool = True) -> tuple[Path, Path]:
    """*data* as the two CSV files, without the outcomes that are NaN."""
    items, outcomes = folder / "items.csv", folder / "outcomes.csv"
    with items.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["item_id", "text", *data.columns])
        for at, item in enumerate(data.items):
            writer.writerow([item, data.texts[at], *(data.columns[c][at] for c in data.columns)])
    with outcomes.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["item_id", "model", "correct", "cost_usd", *(["answer"] * answers)])
        for at, item in enumerate(data.items):
            for column, model in enumerate(data.models):
                if not np.isnan(data.score[at, column]):
                    row = [item, model, int(data.score[at, column]), data.cost_usd[at, column]]
                    assert data.answers is not None
                    writer.writerow([*row, *([data.answers[at, column]] * answers)])
    return items, outcomes


def run(items: Path, outcomes: Path, *arguments: str) -> str:
    done = CliRunner().invoke(
        command,
        ["--items", str(items), "--outcomes", str(outcomes), "--seeds", "1", *arguments],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("escalate", [False, True])
def test_no_test_score_touches_any_decision(escalate: bool) -> None:
    data = made()
    plans = only(data, escalate=escalate)
    scrambled = data.score.copy()
    scrambled[plans.split.test] = 1 - scrambled[plans.split.test]

    again = only(replace(data, score=scrambled), escalate=escalate)

    np.testing.assert_array_equal(plans.quality, again.quality)
    np.testing.assert_array_equal(plans.expected_usd, again.expected_usd)
    assert plans.budgets_usd == again.budgets_usd
    for before, after in zip(plans.plans, again.plans, strict=True):
        np.testing.assert_array_equal(before, after)
    for ours, theirs in zip(plans.escalations, again.escalations, strict=True):
        np.testing.assert_array_equal(ours.final, theirs.final)


def test_no_test_cost_or_answer_touches_a_plan() -> None:
    data = made()
    plans = only(data)
    cost = data.cost_usd.copy()
    cost[plans.split.test] *= 7

    again = only(replace(data, cost_usd=cost, answers=None))

    for before, after in zip(plans.plans, again.plans, strict=True):
        np.testing.assert_array_equal(before, after)


def test_training_scores_do_touch_the_plans() -> None:
    data = made()
    plans = only(data)
    turned = data.score.copy()
    turned[plans.split.train] = 1 - turned[plans.split.train]

    again = only(replace(data, score=turned))

    assert any(
        (before != after).any() for before, after in zip(plans.plans, again.plans, strict=True)
    )


def test_items_without_outcomes_are_planned_and_said_not_to_be_scored(tmp_path: Path) -> None:
    data = made()
    score = data.score.copy()
    score[[at for at, side in enumerate(data.columns["split"]) if side == "test"]] = np.nan
    items, outcomes = written(replace(data, score=score), tmp_path)

    report = json.loads(
        run(items, outcomes, "--split", "column:split", "--json",
            "--choices", str(tmp_path / "c.csv"), "--html", str(tmp_path / "r.html"))
    )  # fmt: skip

    assert report["headline"]["items_scored"] == 0
    assert report["seeds"][0]["lines"][0]["quality"] is None
    assert report["headline"]["items_not_scored"] == 80
    with (tmp_path / "c.csv").open() as chosen:
        assert {row["item_id"] for row in csv.DictReader(chosen)} == {
            item for item, side in zip(data.items, data.columns["split"], strict=True)
            if side == "test"
        }  # fmt: skip
    assert "No test item has an outcome" in (tmp_path / "r.html").read_text()


def test_choices_can_be_scored_by_anyone_and_give_the_reported_figures(tmp_path: Path) -> None:
    data = made()
    items, outcomes = written(data, tmp_path)

    report = json.loads(
        run(items, outcomes, "--budgets", "0.2,0.5", "--json", "--choices", str(tmp_path / "c.csv"))
    )

    at = {item: place for place, item in enumerate(data.items)}
    with (tmp_path / "c.csv").open() as chosen:
        rows = [row for row in csv.DictReader(chosen) if row["budget_usd"] == "0.5"]
    scores = [
        data.score[at[row["item_id"]], data.models.index(row["option"])] if row["option"] else 0.0
        for row in rows
    ]
    line = report["seeds"][0]["lines"][1]
    assert line["budget_usd"] == 0.5
    assert np.mean(scores) == pytest.approx(line["quality"])


def test_columns_without_a_name_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,text,,\na,x,,\n")
    (tmp_path / "outcomes.csv").write_text("item_id,model,score,cost_usd,,\na,m,1,0.1,,\n")

    assert read_outcomes(tmp_path / "items.csv", tmp_path / "outcomes.csv").columns == {}


def test_the_best_model_everywhere_saves_nothing_where_outcomes_are_missing() -> None:
    data = made(240)
    missing = np.random.default_rng(0).random(data.score.shape) < 0.4
    gaps = replace(
        data,
        score=np.where(missing, np.nan, data.score),
        cost_usd=np.where(missing, np.nan, data.cost_usd),
    )
    plans = only(gaps, budgets_usd=(2.5,))
    dear = np.full(len(plans.split.test), data.models.index("dear"), np.int32)

    found = summarized(gaps, replace(plans, plans=(dear,)))

    assert found.saving == pytest.approx(0.0, abs=1e-9)


def test_every_budget_is_planned_once(tmp_path: Path) -> None:
    data = made()
    assert len(only(replace(data, cost_usd=np.full(data.cost_usd.shape, 0.01)),
                    budgets_usd=None).budgets_usd) == 1  # fmt: skip
    report = json.loads(run(*written(data, tmp_path), "--budgets", "0.5,0.2,0.50", "--json"))

    assert [line["budget_usd"] for line in report["seeds"][0]["lines"]] == [0.2, 0.5]


def test_plans_keep_their_budgets_and_save_where_items_can_be_told_apart() -> None:
    data = made(240)
    budgets = tuple(np.geomspace(0.15, 2.4, 9).tolist())
    found = summarized(data, only(data, budgets_usd=budgets))

    assert all(line.expected_usd <= line.budget_usd * (1 + 1e-6) for line in found.lines)
    assert found.saving is not None
    assert found.saving > 0.2


def test_escalation_does_no_worse_than_the_plan_and_keeps_the_budget() -> None:
    data = made(240)
    plans = only(data, escalate=True, budgets_usd=(0.4, 0.8))
    found = summarized(data, plans)

    for line, again in zip(found.lines, plans.escalations, strict=True):
        assert line.escalated is not None
        assert line.escalated >= line.quality - 0.05
        assert again.spent_usd <= line.budget_usd * 1.01


def test_plans_from_noise_are_no_worse_than_a_mixture_but_for_chance() -> None:
    data = made(240)
    order = np.random.default_rng(3).permutation(240)
    shuffled = replace(data, score=data.score[order])
    settings = Settings(seeds=3, budgets_usd=(0.2, 0.5, 1.0, 2.0))
    seeds = [summarized(shuffled, plans) for plans in run_seeds(shuffled, settings)]

    gains = [line.gain for one in seeds for line in one.lines if line.gain is not None]
    assert np.mean(gains) > -0.02
    assert headline(seeds)["budgets_significantly_worse"] <= 1


def test_whole_groups_are_kept_apart() -> None:
    data = made()
    split = only(data, split="group:customer").split

    customers = np.asarray(data.columns["customer"])
    assert not set(customers[split.train].tolist()) & set(customers[split.test].tolist())
    assert split.grouped_by == "customer"


def test_a_told_split_finds_the_column_that_it_keeps_apart() -> None:
    data = made()
    customer = tuple(f"{side}{at % 5}" for at, side in enumerate(data.columns["split"]))
    apart = replace(data, columns={**data.columns, "customer": customer})

    assert only(apart, split="column:split").split.grouped_by == "customer"
    assert only(data, split="column:split").split.grouped_by == ""


def test_the_report_is_one_file_that_fetches_nothing(tmp_path: Path) -> None:
    items, outcomes = written(made(), tmp_path)
    run(items, outcomes, "--html", str(tmp_path / "r.html"))

    page = (tmp_path / "r.html").read_text()
    assert "<svg" in page
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", page)


def test_text_from_the_items_cannot_become_markup(tmp_path: Path) -> None:
    data = made()
    evil = replace(data, texts=tuple(f"<script>alert(1)</script> {t}" for t in data.texts))
    items, outcomes = written(evil, tmp_path)
    run(items, outcomes, "--html", str(tmp_path / "r.html"))

    assert "<script" not in (tmp_path / "r.html").read_text()


def test_people_read_the_savings_and_the_plans(tmp_path: Path) -> None:
    text = run(*written(made(), tmp_path))

    assert "saved at the best single model's quality" in text
    assert "budgets significantly worse than the mixture" in text


def test_tokens_with_prices_are_as_good_as_costs(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,text\na,first\nb,second\n")
    (tmp_path / "outcomes.csv").write_text(
        "item_id,model,score,input_tokens,output_tokens\na,m,0.5,1000,10\nb,m,1,2000,20\n"
    )
    (tmp_path / "prices.csv").write_text(
        "model,input_usd_per_million,output_usd_per_million\nm,2,10\n"
    )

    data = read_outcomes(
        tmp_path / "items.csv", tmp_path / "outcomes.csv", prices_path=tmp_path / "prices.csv"
    )

    np.testing.assert_allclose(data.cost_usd[:, 0], [0.0021, 0.0042])


def test_a_model_without_a_price_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,text\na,first\n")
    (tmp_path / "outcomes.csv").write_text(
        "item_id,model,score,input_tokens,output_tokens\na,no-such-model-x,1,10,10\n"
    )

    with pytest.raises(NoPrice, match="no-such-model-x"):
        read_outcomes(tmp_path / "items.csv", tmp_path / "outcomes.csv")


FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "a missing column": (lambda text: text.replace("cost_usd", "cost"), "no column cost_usd"),
    "an unknown item": (lambda text: text + "zz,m,1,0.1\n", r"row 3: item_id 'zz'"),
    "a pair twice": (lambda text: text + "a,m,1,0.1\n", r"row 3: .* twice"),
    "a score above one": (lambda text: text + "b,n,1.5,0.1\n", r"row 3: score 1.5"),
    "a negative cost": (lambda text: text + "b,n,1,-1\n", r"row 3: a cost of -1"),
    "no score at all": (lambda text: text.replace("m,1,", "m,,").replace("m,0,", "m,,"), "no row"),
    "a score in words": (
        lambda text: text + "b,n,good,0.1\n",
        r"row 3, column score: 'good' is no",
    ),
    "a column too few": (lambda text: text + "b,n,1\n", "row 3 has 3 columns, and the header 4"),
    "semicolons": (lambda text: text.replace(",", ";"), "parted by commas"),
    "nothing": (lambda _text: "", "it is empty"),
    "no model": (lambda text: text + "b,,1,0.1\n", "row 3, column model: it is empty"),
    "a column twice": (lambda text: text.replace("score", "model"), "two columns model; rename"),
    "a cost beyond all": (lambda text: text + "b,n,1,1e12\n", "row 3: .* not from 0 to 10,000"),
}

ITEM_FAULTS = {
    "an id twice": (b"item_id,text\na,x\na,y\n", r"row 2: item_id 'a' .* first in row 1"),
    "an id missing": (b"item_id,text\na,x\n,y\n", "row 2, column item_id: it is empty"),
    "another encoding": (b"item_id,text\na,x\nb,caf\xe9\n", "row 2, column text: not in UTF-8"),
    "no items": (b"item_id,text\n", "there are no items"),
    "UTF-16": ("item_id,text\na,x\n".encode("utf-16"), "not in UTF-8"),
    "the text twice": (b"item_id,text,text\na,x,y\n", "two columns text; rename one"),
}


@pytest.mark.parametrize("fault", ITEM_FAULTS)
def test_faulty_items_are_refused_by_row_and_column(fault: str, tmp_path: Path) -> None:
    items, reason = ITEM_FAULTS[fault]
    (tmp_path / "items.csv").write_bytes(items)
    (tmp_path / "outcomes.csv").write_text("item_id,model,score,cost_usd\na,m,1,0.1\n")

    with pytest.raises(BadTable, match=reason):
        read_outcomes(tmp_path / "items.csv", tmp_path / "outcomes.csv")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_table_is_refused_by_its_row(fault: str, tmp_path: Path) -> None:
    spoil, reason = FAULTS[fault]
    (tmp_path / "items.csv").write_text("item_id,text\na,first\nb,second\n")
    (tmp_path / "outcomes.csv").write_text(
        spoil("item_id,model,score,cost_usd\na,m,1,0.1\nb,m,0,0.1\n")
    )

    with pytest.raises(BadTable, match=reason):
        read_outcomes(tmp_path / "items.csv", tmp_path / "outcomes.csv")


def test_an_unknown_split_is_refused_with_the_columns_there_are() -> None:
    with pytest.raises(BadSplit, match="customer"):
        only(made(), split="group:nope")


def test_escalation_without_answers_is_refused() -> None:
    with pytest.raises(NoAnswers):
        only(replace(made(), answers=None), escalate=True)


@pytest.mark.parametrize("budgets", ["a", "1,,2", "-1", "0", "inf"])
def test_budgets_that_are_no_amounts_are_refused(budgets: str, tmp_path: Path) -> None:
    with pytest.raises(BadBudgets):
        run(*written(made(8), tmp_path), "--budgets", budgets)
