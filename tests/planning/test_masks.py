"""Which options a job may have: every rule, on both of its sides."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from scheduler.domain.job import DataClass, Reduction, Task, When
from scheduler.domain.offer import Lane
from scheduler.domain.policy import PlanPolicy
from scheduler.planning.masks import in_region
from tests.planning.queued import FREE, NOON, TEXT, Wish, listing
from tests.planning.windows import judged, offers_left, plan_offers, window_of

US = listing("us/model", region="us")
EU = listing("eu/model", region="eu-central-1")
NOWHERE = listing("x/model")


def test_an_offer_is_given_only_tasks_that_it_takes() -> None:
    classifier = listing("x/classifier", tasks=frozenset({Task.CLASSIFY}))
    offers = plan_offers(classifier)

    assert offers_left(Wish(task=Task.CLASSIFY), *offers) == ({"x/classifier"}, None)
    assert offers_left(Wish(task=Task.ANSWER), *offers) == (
        set(),
        "no offer that is on can answer; see `apportion offers`",
    )


def test_a_document_is_shortened_only_for_tasks_that_bear_it() -> None:
    offers = plan_offers(US)
    for task, reductions in (
        (Task.SUMMARIZE, {Reduction.NONE, Reduction.LIGHT, Reduction.STRONG}),
        (Task.EXTRACT, {Reduction.NONE}),
    ):
        allowed, options, _ = judged(window_of(Wish(task=task)), offers)
        assert {
            options.reduction(option) for option in np.flatnonzero(allowed.eligible[0]).tolist()
        } == reductions


def test_shortening_costs_quality_and_saves_money() -> None:
    _, _, estimates = judged(window_of(Wish()), plan_offers(US))

    none, light, strong = range(3)
    assert estimates.quality[0, none] > estimates.quality[0, light] > estimates.quality[0, strong]
    assert estimates.lower[0, none] >= estimates.lower[0, light] > estimates.lower[0, strong]
    cost = estimates.reserved_nusd[0]
    assert cost[none] > cost[light] > cost[strong]


def test_a_document_stays_in_its_residency() -> None:
    offers = plan_offers(US, EU, NOWHERE)

    assert offers_left(Wish(), *offers)[0] == {"us/model", "eu/model", "x/model"}
    assert offers_left(Wish(residency=["eu"]), *offers) == ({"eu/model"}, None)
    assert offers_left(Wish(residency=["eu", "us"]), *offers)[0] == {"us/model", "eu/model"}
    assert offers_left(Wish(residency=["ch"]), *offers) == (
        set(),
        "no offer that can summarize is in region ch",
    )


@pytest.mark.parametrize(
    ("region", "place", "is_in"),
    [
        ("eu", "eu", True),
        ("eu-west-1", "eu", True),
        ("EU", "eu", True),
        ("europe", "eu", False),
        ("eu", "eu-west-1", False),
        ("", "eu", False),
    ],
)
def test_a_region_lies_in_a_place_by_whole_names(region: str, place: str, is_in: bool) -> None:
    assert in_region(region, place) is is_in


def test_a_restricted_document_goes_to_own_machines_or_certified_offers_alone() -> None:
    certified = listing("safe/model", certificates=["hipaa"])
    offers = plan_offers(US, certified, FREE)
    restricted = Wish(data_class=DataClass.RESTRICTED)

    assert offers_left(restricted, *offers)[0] == {"safe/model", "house/extractive"}
    assert len(offers_left(Wish(data_class=DataClass.CONFIDENTIAL), *offers)[0]) == 3
    assert offers_left(restricted, *plan_offers(US)) == (
        set(),
        "no offer takes data class restricted: it needs own machines, or a provider certified"
        " for hipaa or iso27001 or soc2",
    )


def test_the_policy_says_which_certificates_a_data_class_needs() -> None:
    offers = plan_offers(US, listing("safe/model", certificates=["c5"]))
    policy = PlanPolicy(certificates={"internal": ("c5",)})

    assert offers_left(Wish(data_class=DataClass.INTERNAL), *offers, policy=policy)[0] == {
        "safe/model"
    }


def test_what_was_found_in_a_document_counts_where_it_is_stricter() -> None:
    wish = Wish(data_class=DataClass.PUBLIC, found_class=DataClass.RESTRICTED)

    assert offers_left(wish, *plan_offers(US, FREE))[0] == {"house/extractive"}
    assert offers_left(
        replace(wish, data_class=DataClass.RESTRICTED, found_class=DataClass.PUBLIC),
        *plan_offers(US, FREE),
    )[0] == {"house/extractive"}


def test_input_and_answer_fit_the_context_at_their_quantiles() -> None:
    _, _, estimates = judged(window_of(Wish(task=Task.EXTRACT)), plan_offers(US))
    needed = int(estimates.input_most[0, 0] + estimates.output_limit[0, 0])

    wish = Wish(task=Task.EXTRACT)
    fits = plan_offers(listing("us/model", context_limit=needed))
    misses = plan_offers(listing("us/model", context_limit=needed - 1))
    assert offers_left(wish, *fits)[0] == {"us/model"}
    assert offers_left(wish, *misses) == (
        set(),
        f"the document is too long: it needs {needed:,} tokens, and the longest context among"
        f" its offers is {needed - 1:,}",
    )


def test_quality_is_held_against_the_lower_bound() -> None:
    offers = plan_offers(listing("us/model", quality=0.8))
    wish = Wish(min_quality_ppm=790_000)

    # At a level of one half the bound is the mean; at a higher one it is below it.
    assert offers_left(wish, *offers, level=0.5)[0] == {"us/model"}
    left, reason = offers_left(wish, *offers, level=0.9)
    assert not left
    assert reason is not None
    assert reason.startswith("no allowed offer is sure of quality 0.79: the best is sure of 0.5")


def test_the_most_a_job_may_cost_holds_for_all_its_attempts_together() -> None:
    offers = plan_offers(US)
    wish = Wish(task=Task.EXTRACT)
    _, _, estimates = judged(window_of(wish), offers)
    cost_nusd = int(estimates.reserved_nusd[0, 0])

    exactly = window_of(replace(wish, max_cost_nusd=cost_nusd))
    assert judged(exactly, offers)[0].eligible.any()
    short = window_of(replace(wish, max_cost_nusd=cost_nusd - 1))
    assert not judged(short, offers)[0].eligible.any()
    used_before = replace(exactly, used_nusd=np.array([1]))
    allowed, _, _ = judged(used_before, offers)
    assert not allowed.eligible.any()
    assert allowed.reasons[0].startswith("the job may not cost enough: $")


def test_a_job_that_may_cost_nothing_may_have_what_is_free() -> None:
    assert offers_left(Wish(max_cost_nusd=0), *plan_offers(US, FREE))[0] == {"house/extractive"}


def test_an_offer_must_answer_before_the_deadline() -> None:
    slow = listing("slow/model", first_s=100.0)
    quick = listing("quick/model", first_s=0.1)
    offers = plan_offers(slow, quick)

    assert len(offers_left(Wish(deadline=NOON + timedelta(hours=1)), *offers)[0]) == 2
    soon = Wish(deadline=NOON + timedelta(seconds=60))
    assert offers_left(soon, *offers)[0] == {"quick/model"}
    assert offers_left(soon, *plan_offers(slow))[1] == (
        "every offer that is left may take longer than there is time: its deadline is"
        " 2026-11-24 12:01:00+00:00"
    )
    assert offers_left(Wish(deadline=NOON), *offers)[1] == (
        "its deadline has passed: it was 2026-11-24 12:00:00+00:00"
    )


def test_a_batch_is_for_jobs_that_can_wait_a_day() -> None:
    offers = plan_offers(US, listing("us/batch", region="us", lane=Lane.BATCH))
    both = {"us/model", "us/batch"}

    assert offers_left(Wish(when=When.NIGHT), *offers)[0] == both
    assert offers_left(Wish(), *offers)[0] == {"us/model"}
    tomorrow = NOON + timedelta(days=1)
    assert offers_left(Wish(deadline=tomorrow), *offers)[0] == both
    earlier = tomorrow - timedelta(seconds=1)
    assert offers_left(Wish(deadline=earlier), *offers)[0] == {"us/model"}
    assert offers_left(Wish(when=When.NIGHT, deadline=earlier), *offers)[0] == {"us/model"}


def test_a_project_without_a_budget_has_the_free_offers() -> None:
    assert offers_left(Wish(), *plan_offers(US, FREE), budgeted=False)[0] == {"house/extractive"}
    assert offers_left(Wish(), *plan_offers(US), budgeted=False)[1] == (
        "no budget covers acme/legal/contracts on 2026-11-24 and no allowed offer is free;"
        " make one with `apportion budget set`"
    )


def test_a_resting_offer_is_left_alone() -> None:
    until = NOON + timedelta(seconds=5)
    resting = plan_offers(US, EU, resting={"us/model": until})

    assert offers_left(Wish(), *resting)[0] == {"eu/model"}
    assert offers_left(Wish(), *resting, now=until)[0] == {"us/model", "eu/model"}
    assert offers_left(Wish(residency=["us"]), *resting)[1] == (
        "its offers rest after failures: us/model, the first until 2026-11-24 12:00:05+00:00"
    )


def test_the_first_rule_that_leaves_nothing_is_the_reason() -> None:
    wish = Wish(residency=["ch"], deadline=NOON - timedelta(days=1), max_cost_nusd=0)

    assert offers_left(wish, *plan_offers(US))[1] == "no offer that can summarize is in region ch"


def test_each_job_of_a_window_is_judged_by_itself() -> None:
    window = window_of(Wish(residency=["us"]), Wish(residency=["eu"]), Wish(text=TEXT[:300]))
    allowed, options, _ = judged(window, plan_offers(US, EU))

    names = [
        {options.offers[k].offer.name for k in options.offer_of[np.flatnonzero(row)].tolist()}
        for row in allowed.eligible
    ]
    assert names == [{"us/model"}, {"eu/model"}, {"us/model", "eu/model"}]


def test_a_long_window_is_judged_as_its_jobs_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = [Wish(residency=[place]) for place in ("us", "eu", "mars", "us", "mars")]
    monkeypatch.setattr("scheduler.planning.masks.CHUNK_JOBS", 2)

    allowed, _, _ = judged(window_of(*wishes), plan_offers(US, EU))

    assert allowed.eligible.any(1).tolist() == [True, True, False, True, False]
    assert sorted(allowed.reasons) == [2, 4]
    assert (allowed.rule >= 0).tolist() == [False, False, True, False, True]
