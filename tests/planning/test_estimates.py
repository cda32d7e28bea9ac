"""What options are estimated to cost and give, against the figures for a single job."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.job import INSTRUCTION_TOKENS, TEMPLATE_TOKENS, Task
from scheduler.domain.offer import Offer
from scheduler.domain.policy import PlanPolicy
from scheduler.estimate.tokens import TokenModel
from scheduler.planning.estimates import (
    COST_LIMIT_NUSD,
    Estimators,
    cost_nusd,
    estimate,
    load_estimators,
)
from scheduler.planning.options import make_options
from tests.planning.queued import CHEAP, FREE, GOOD, TEXT, Wish
from tests.planning.windows import judged, plan_offers, window_of

tokens = st.integers(0, 20_000_000)
prices = st.integers(0, 10**13)


def offer_priced(input_price: int, output_price: int, request_price: int) -> Offer:
    return replace(
        CHEAP.offer,
        input_price=input_price,
        output_price=output_price,
        request_price=request_price,
    )


@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=5), prices, prices, prices)
def test_costs_in_columns_are_the_offers_own_to_the_nano_dollar(
    used: list[tuple[int, int]], input_price: int, output_price: int, request_price: int
) -> None:
    offer = offer_priced(input_price, output_price, request_price)

    found = cost_nusd(offer, np.array([one[0] for one in used]), np.array([one[1] for one in used]))

    for (tokens_in, tokens_out), cost in zip(used, found.tolist(), strict=True):
        exact = offer.cost_nusd(input_tokens=tokens_in, output_tokens=tokens_out)
        assert cost == min(exact, COST_LIMIT_NUSD)


def test_a_call_beyond_all_money_is_allowed_to_nobody() -> None:
    absurd = replace(GOOD, offer=replace(GOOD.offer, input_price=10**19))

    allowed, _, estimates = judged(window_of(Wish()), plan_offers(absurd))

    assert estimates.reserved_nusd[0, 0] == COST_LIMIT_NUSD
    assert not allowed.eligible.any()


def test_what_is_set_aside_covers_the_longest_answer_that_is_asked_for() -> None:
    offers = plan_offers(GOOD)
    window = window_of(Wish(), Wish(text=TEXT[:500]))
    options = make_options(offers, PlanPolicy())

    found = estimate(window, options, estimators=Estimators(), policy=PlanPolicy())

    for job in range(2):
        for option in range(options.count):
            assert found.reserved_nusd[job, option] == offers[0].offer.cost_nusd(
                input_tokens=int(found.input_most[job, option]),
                output_tokens=int(found.output_limit[job, option]),
            )
    assert (found.input_most >= found.input_tokens).all()
    assert (found.output_limit >= found.output_tokens).all()


def test_a_higher_quantile_sets_more_aside() -> None:
    offers = plan_offers(GOOD)
    _, _, usual = judged(window_of(Wish()), offers, policy=PlanPolicy(output_quantile=0.8))
    _, _, careful = judged(window_of(Wish()), offers, policy=PlanPolicy(output_quantile=0.99))

    assert careful.output_limit[0, 0] > usual.output_limit[0, 0]
    assert careful.reserved_nusd[0, 0] > usual.reserved_nusd[0, 0]


def test_the_template_and_the_question_are_paid_for_too() -> None:
    offers = plan_offers(GOOD)
    bare, asked = Wish(task=Task.ANSWER), Wish(task=Task.ANSWER, params="x" * 1_000)
    _, _, found = judged(window_of(bare, asked), offers)

    document, _ = TokenModel().input_tokens(window_of(bare).token_stats, family="openai")
    added = found.input_tokens[0, 0] - document[0]
    assert TEMPLATE_TOKENS[Task.ANSWER] <= added <= TEMPLATE_TOKENS[Task.ANSWER] + 2
    # What is set aside reckons with the longest template of any tokenizer.
    assert found.input_most[0, 0] >= document[0] + INSTRUCTION_TOKENS
    assert found.input_tokens[1, 0] >= found.input_tokens[0, 0] + 250
    assert found.input_most[1, 0] >= found.input_most[0, 0] + 450


def test_an_answer_is_as_long_as_the_client_asked_for() -> None:
    offers = plan_offers(GOOD)
    window = replace(window_of(Wish(), Wish(), Wish()), words=np.array([0, 1_000, 100_000]))
    options = make_options(offers, PlanPolicy())

    found = estimate(window, options, estimators=Estimators(), policy=PlanPolicy())

    assert found.output_limit[1, 0] == 2_200
    assert found.output_tokens[1, 0] == 1_300
    assert found.output_limit[2, 0] == offers[0].offer.output_limit


def test_own_machines_cost_nothing() -> None:
    _, _, found = judged(window_of(Wish()), plan_offers(FREE))

    assert not found.reserved_nusd.any()


def test_an_estimate_does_not_depend_on_the_window_around_it() -> None:
    offers = plan_offers(CHEAP, GOOD)
    wishes = [Wish(), Wish(task=Task.CLASSIFY), Wish(text=TEXT[:700]), Wish(task=Task.EXTRACT)]

    _, _, together = judged(window_of(*wishes), offers)

    for job, wish in enumerate(wishes):
        _, _, alone = judged(window_of(wish), offers)
        assert (together.reserved_nusd[job] == alone.reserved_nusd[0]).all()
        assert np.allclose(together.lower[job], alone.lower[0], atol=1e-6)


def test_stored_estimators_are_read_back_as_they_were() -> None:
    shipped = Estimators()

    read = load_estimators(
        {"quality": shipped.quality.to_bytes(), "tokens": b'{"format": 1, "families": {},'
         b' "corrections": {}, "answers": []}'}
    )  # fmt: skip

    assert read.digests["quality"] == shipped.digests["quality"]
    assert read.digests["tokens"] != shipped.digests["tokens"]
    assert read.digests["latency"] == shipped.digests["latency"]
