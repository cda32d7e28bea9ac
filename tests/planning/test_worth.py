"""What an option is worth: quality, or dollars by the policy's figures."""

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from scheduler.domain.job import CLIENT_TASKS, Task
from scheduler.domain.money import BadAmount
from scheduler.domain.policy import BadPolicy, PlanObjective, PlanPolicy, Policy
from scheduler.planning.outcome import PlanOutcome
from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from scheduler.planning.worth import outcome_shares, values, weights
from tests.planning.queued import (
    CHEAP,
    FREE,
    GOOD,
    NOON,
    TOPIC,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    policy,
    rows,
)
from tests.planning.windows import judged, plan_offers, window_of

shares = st.floats(0, 1)


def for_all(figure: Any) -> dict[str, Any]:
    return {str(task): figure for task in CLIENT_TASKS}


def earning(gain: str, loss: str, **more: Any) -> Policy:
    return policy(
        objective=PlanObjective.EARNINGS,
        gain_usd=for_all(gain),
        loss_usd=for_all(loss),
        kept_quality_ppm={},
        **more,
    )


def saving(wage: str, *, use: float, edit: float, ignore: float) -> Policy:
    return policy(
        objective=PlanObjective.ENCS,
        wage_usd_per_hour=wage,
        saved_s=for_all({"use": use, "edit": edit, "ignore": ignore}),
        kept_quality_ppm={},
    )


def planned(engine: Engine, by: Policy, *wishes: Wish) -> PlanOutcome:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, GOOD)
        add_budget(conn, 100)
        add_jobs(conn, *wishes)
    return again(engine, by)


def again(engine: Engine, by: Policy, *, later: timedelta = timedelta()) -> PlanOutcome:
    found = plan_window(
        engine, kind=WindowKind.CONTINUOUS, now=NOON + later, policy=by, results_topic=TOPIC
    )
    assert found is not None
    return found


def test_earnings_are_gain_and_loss_by_the_quality_that_is_at_least_expected_less_cost() -> None:
    by = earning("2", "0.5").plan
    window = window_of(Wish(), Wish(task=Task.EXTRACT, text="Short."))
    _, options, estimates = judged(window, plan_offers(GOOD), policy=by)

    found = values(window, options, estimates, policy=by)

    for job in range(2):
        p = float(estimates.lower[job, 0])
        cost = GOOD.offer.cost_nusd(
            input_tokens=int(estimates.input_tokens[job, 0]),
            output_tokens=int(estimates.output_tokens[job, 0]),
        )
        assert found[job, 0] == pytest.approx(2 * p - 0.5 * (1 - p) - cost / 1e9, rel=1e-6)


def test_each_task_has_its_own_figures() -> None:
    gains = for_all("1") | {"extract": "3"}
    by = PlanPolicy(objective=PlanObjective.EARNINGS, gain_usd=gains, loss_usd=for_all("0"))
    window = window_of(Wish(), Wish(task=Task.EXTRACT))
    _, options, estimates = judged(window, plan_offers(FREE), policy=by)

    found = values(window, options, estimates, policy=by)

    assert found[1, 0] == pytest.approx(3 * found[0, 0])


def test_a_job_that_names_its_own_stakes_has_those_and_the_others_their_tasks() -> None:
    by = earning("1", "0").plan
    own = Wish(gain_nusd=3_000_000_000), Wish(loss_nusd=2_000_000_000), Wish(gain_nusd=0)
    window = window_of(Wish(), *own)
    _, options, estimates = judged(window, plan_offers(FREE), policy=by)

    found = values(window, options, estimates, policy=by)[:, 0]

    p = float(estimates.lower[0, 0])
    assert found.tolist() == pytest.approx([p, 3 * p, p - 2 * (1 - p), 0.0], rel=1e-6)


def test_two_jobs_alike_but_for_what_they_are_worth_get_offers_to_match(engine: Engine) -> None:
    made = planned(
        engine, earning("0.005", "0"), Wish(), Wish(gain_nusd=1_000_000_000), Wish(gain_nusd=0)
    )

    assert {line.offer: line.jobs for line in made.options} == {
        CHEAP.offer.name: 1,
        GOOD.offer.name: 1,
    }
    # What brings nothing is not bought.
    assert (made.planned, made.deferred) == (2, 1)


def test_a_job_is_told_where_it_would_break_even(engine: Engine) -> None:
    made = planned(
        engine,
        earning("1", "0"),
        Wish(gain_nusd=1_000_000_000, loss_nusd=100_000_000_000),
        Wish(gain_nusd=0, loss_nusd=0),
    )

    assert made.deferred == 2
    with engine.connect() as conn:
        dear, vain = rows(conn, "SELECT deferral_reason AS said FROM job ORDER BY id")
    assert re.search(
        r"a good answer has probability 0\.\d{3}, and it breaks even at 0\.99", dear.said
    )
    assert "it would lose if it were certain" in vain.said


def test_quality_is_the_objective_unless_another_is_named() -> None:
    by = PlanPolicy()
    window = window_of(Wish(priority=7))
    _, options, estimates = judged(window, plan_offers(GOOD), policy=by)

    assert values(window, options, estimates, policy=by) is estimates.lower
    assert weights(window, policy=by).tolist() == [2.0]
    assert weights(window, policy=earning("1", "1").plan).tolist() == [1.0]


@given(shares, shares, st.integers(0, 1_000_000))
def test_used_edited_and_ignored_answers_give_the_quality_back(
    p: float, edit_score: float, edited_ppm: int
) -> None:
    found = outcome_shares(np.array([p]), edit_score=edit_score, edited_ppm=edited_ppm)[0]

    assert found.min() >= -1e-9
    assert found.sum() == pytest.approx(1)
    assert found[0] + edit_score * found[1] == pytest.approx(p, abs=1e-9)


def test_more_answers_are_edited_where_the_policy_says_so() -> None:
    few = outcome_shares(np.array([0.6]), edit_score=0.5, edited_ppm=0)[0]
    many = outcome_shares(np.array([0.6]), edit_score=0.5, edited_ppm=1_000_000)[0]

    assert few.tolist() == pytest.approx([0.6, 0, 0.4])
    assert many.tolist() == pytest.approx([0.2, 0.8, 0])


def test_net_savings_are_the_readers_time_at_the_wage_less_cost() -> None:
    by = saving("36", use=100, edit=40, ignore=-10).plan
    window = window_of(Wish())
    _, options, estimates = judged(window, plan_offers(FREE), policy=by)

    found = values(window, options, estimates, policy=by)[0, 0]

    p = estimates.lower[:1, 0].astype(np.float64)
    used, edited, ignored = outcome_shares(p, edit_score=0.5, edited_ppm=500_000)[0]
    assert found == pytest.approx(0.01 * (100 * used + 40 * edited - 10 * ignored), rel=1e-6)


def test_the_dearer_offer_is_taken_only_where_what_it_adds_is_worth_its_price(
    engine: Engine,
) -> None:
    # The large model costs a few tenths of a cent more, and is right more often.
    modest = planned(engine, earning("0.005", "0"), Wish())
    with engine.begin() as conn:
        add_jobs(conn, Wish())
    ambitious = again(engine, earning("1", "0"))

    assert [line.offer for line in modest.options] == [CHEAP.offer.name]
    assert [line.offer for line in ambitious.options] == [GOOD.offer.name]
    assert (modest.objective, modest.options[0].short_of_best) == ("earnings", 0)


def test_the_plans_value_is_dollars(engine: Engine) -> None:
    made = planned(engine, earning("1", "0"), Wish(priority=9))

    [line] = made.options
    assert made.value == pytest.approx(line.lower - made.cost_nusd / 1e9, rel=1e-5)


def test_a_job_waits_rather_than_be_done_at_a_loss_and_knows_why(engine: Engine) -> None:
    made = planned(engine, earning("0.1", "10"), Wish())

    assert (made.planned, made.deferred, made.failed) == (0, 1, 0)
    [line] = made.reasons
    assert line.reason == "no answer is expected to earn what it costs"
    assert "the best option comes to $-" in line.example


def test_a_job_that_can_only_lose_fails_after_the_policys_deferrals(engine: Engine) -> None:
    by = earning("0.1", "10", loss_deferrals_max=3)
    made = planned(engine, by, Wish(deferrals=3), Wish(deferrals=2))

    assert (made.planned, made.deferred, made.failed) == (0, 2, 1)
    with engine.connect() as conn:
        [failed, waits] = rows(conn, "SELECT state FROM job ORDER BY id")
        [result] = rows(conn, "SELECT payload::text AS said FROM outbox")
    assert (failed.state, waits.state) == ("failed", "queued")
    assert "expected to earn what it costs" in result.said
    assert "put off 3 times" in result.said


def test_lack_of_money_does_not_fail_a_job_that_would_earn(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD)
        add_budget(conn, 0.0001)
        add_jobs(conn, Wish(deferrals=50))

    made = again(engine, earning("1", "0", loss_deferrals_max=3))

    assert (made.deferred, made.failed) == (1, 0)
    assert made.reasons[0].reason.startswith("no budget left")


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"objective": PlanObjective.EARNINGS}, "gain_usd: the objective earnings needs it"),
        ({"objective": PlanObjective.ENCS}, "wage_usd_per_hour: the objective encs needs it"),
        (
            {
                "objective": PlanObjective.ENCS,
                "wage_usd_per_hour": "40",
                "saved_s": for_all({"use": 60.0}),
            },
            "needs seconds for use, edit and ignore",
        ),
        ({"explore_ppm": 1_000_001}, "explore_ppm: it is a share in ppm"),
    ],
)
def test_figures_that_an_objective_needs_are_asked_for_by_name(
    figures: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadPolicy, match=said):
        PlanPolicy(**figures)


def test_an_amount_that_is_no_money_is_refused() -> None:
    with pytest.raises(BadAmount, match="a dollar"):
        PlanPolicy(gain_usd={"extract": "a dollar"})
