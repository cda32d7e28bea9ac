"""How long jobs wait that a plan leaves out."""

from datetime import date

import pytest
from sqlalchemy import Engine

from scheduler.domain.policy import PlanPolicy
from scheduler.planning.carry import wait_s
from scheduler.planning.reasons import head, no_money, period_text
from tests.planning.one_window import plan
from tests.planning.queued import (
    TEXT,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    listing,
    policy,
    rows,
)

DAY = date(2026, 11, 24)


def test_each_wait_is_twice_the_one_before_up_to_a_limit() -> None:
    policy = PlanPolicy(deferral_s=60.0, deferral_max_s=1_000.0)

    assert [wait_s(policy, deferrals) for deferrals in range(6)] == [60, 120, 240, 480, 960, 1_000]
    assert wait_s(policy, 32_767) == 1_000


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "said"),
    [
        (DAY, date(2026, 11, 25), "for 2026-11-24"),
        (date(2026, 11, 1), date(2026, 12, 1), "for November 2026"),
        (date(2026, 12, 1), date(2027, 1, 1), "for December 2026"),
        (date(2026, 1, 1), date(2027, 1, 1), "for 2026"),
        (date(2026, 1, 1), date(2028, 1, 1), "from 2026-01-01 to 2027-12-31"),
        (date(2026, 11, 2), date(2026, 12, 2), "from 2026-11-02 to 2026-12-01"),
        (date(2026, 11, 1), date(2027, 1, 1), "from 2026-11-01 to 2026-12-31"),
    ],
)
def test_a_period_is_called_what_people_call_it(starts_on: date, ends_on: date, said: str) -> None:
    assert period_text(starts_on, ends_on) == said


def test_reasons_of_many_jobs_have_their_beginning_in_common() -> None:
    both = [
        no_money(scope="acme", period="for 2026", cheapest_nusd=cheapest, free_nusd=1)
        for cheapest in (20_000_000, 30_000_000)
    ]

    assert both[0] != both[1]
    assert head(both[0]) == head(both[1]) == "no budget left in acme for 2026"


def test_without_any_offer_jobs_wait_and_the_plan_says_why(engine: Engine) -> None:
    # The planner may start before the catalog is read in.
    with engine.begin() as conn:
        add_budget(conn, 1)
        add_jobs(conn, Wish(), Wish(min_quality_ppm=900_000))

    outcome = plan(engine)

    assert (outcome.planned, outcome.deferred) == (0, 2)
    with engine.connect() as conn:
        reasons = {row.reason for row in rows(conn, "SELECT deferral_reason AS reason FROM job")}
    assert reasons == {"no offer that is on can summarize; see `apportion offers`"}


def test_a_document_that_no_rate_limit_will_ever_take_is_told_so(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, listing("slow/model", tokens_per_minute=1_000))
        add_budget(conn, 100)
        add_jobs(conn, Wish(text=TEXT * 40))

    outcome = plan(engine, by=policy(horizon_s=60.0))

    assert outcome.reasons[0].reason == (
        "the rate limits of all offers it may have are too low for the document"
    )
