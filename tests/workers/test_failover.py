"""When a call brings no result: where its job goes, and what becomes of the money."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Engine, text

from scheduler.domain.job import Task
from scheduler.domain.listing import Listing
from scheduler.domain.policy import Policy, WorkPolicy
from scheduler.store.evidence import records
from scheduler.store.offers import sync_catalog
from tests.workers.audit import assert_books_are_right, count, job_states, total_nusd
from tests.workers.bench import POLICY, desk_for, policy, work_off
from tests.workers.planned import Wish, add_budget, listing, plan, wishes
from tests.workers.stub import Reply, Stub, answer, error, good, serving
from workers import desk, loop

Offers = Callable[[str], list[Listing]]


def two(url: str) -> list[Listing]:
    """A first offer and, dearer, the next best."""
    return [
        listing("first/small", url=url, usd_per_million=(1, 4)),
        listing("second/large", url=url, usd_per_million=(2, 8)),
    ]


def one(url: str) -> list[Listing]:
    return [listing("first/small", url=url)]


def do(
    engine: Engine,
    jobs: Sequence[Wish],
    reply: Reply,
    *,
    offers: Offers = two,
    usd: float = 100,
    policy: WorkPolicy = POLICY,
) -> Stub:
    async def scene() -> Stub:
        async with serving(reply) as stub:
            listings = offers(stub.url)
            with engine.begin() as conn:
                add_budget(conn, usd)
                plan(conn, jobs, listings=listings)
            async with desk_for(engine, listings, policy=policy) as at_desk:
                await work_off(at_desk, "first")
            return stub

    return loop.run(scene())


def only(model: str, then: Reply) -> Reply:
    """*then* for calls of that *model*, and good answers for all others."""

    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await (then if body["model"] == model else good)(stub, request, body)

    return reply


async def down(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return error(503)


async def cut(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """The work is done and billed, and the answer lost."""
    answer(stub, request, body)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def refuse(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return error(400, code="invalid_request_error")


async def babble(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return answer(stub, request, body, text="no label at all")


def offers_of_results(engine: Engine) -> dict[str, int]:
    with engine.begin() as conn:
        rows = conn.execute(
            text(
                "SELECT name, count(*) AS n FROM result JOIN offer ON offer.id = offer_id"
                " GROUP BY name"
            )
        )
        return {row.name: row.n for row in rows}


def reasons(engine: Engine) -> set[str]:
    with engine.begin() as conn:
        return set(conn.execute(text("SELECT DISTINCT deferral_reason FROM job")).scalars())


def test_jobs_of_an_offer_that_is_down_move_to_the_next_best(engine: Engine) -> None:
    do(engine, wishes(40), only("small", down))

    assert offers_of_results(engine) == {"second/large": 40}
    with engine.begin() as conn:
        assert total_nusd(conn, "waste") == 0
        assert_books_are_right(conn)


def test_a_dearer_next_best_is_paid_for_by_asking_for_more(engine: Engine) -> None:
    do(engine, wishes(5), only("small", refuse))

    with engine.begin() as conn:
        asked = count(conn, "ledger", "kind = 'reservation' AND offer_id IS NOT NULL")
        assert asked == 5
        assert_books_are_right(conn)


def test_a_job_for_which_no_budget_has_more_waits_for_the_next_window(engine: Engine) -> None:
    with_no_rest = 5 * (1_900 * 1_000 + 400 * 4_000) / 1e9  # what the first option sets aside
    do(engine, wishes(5), only("small", refuse), usd=with_no_rest)

    with engine.begin() as conn:
        assert job_states(conn) == {"queued": 5}
        assert count(conn, "job", "reserved_nusd <> 0 OR deferrals <> 1") == 0
        assert count(conn, "job", "not_before > now() + interval '50 s'") == 5
        assert_books_are_right(conn)
        # In the evidence, too: what was tried for each, and what came of it.
        small, large = conn.execute(text("SELECT id FROM offer ORDER BY name")).scalars()
        told = [json.loads(one.body) for one, _ in records(conn, stream="work-tester")]
    tried = [[small, "none", "refused"], [large, "none", "too_dear"]]
    returned = [one for body in told for one in body.get("returned", ())]
    assert sorted(returned) == [[job, tried] for job in range(1, 6)]
    assert {body["policy"] for body in told} == {Policy(work=POLICY).digest().hex()}
    assert all("too_dear" in reason for reason in reasons(engine))


def test_an_offer_that_is_turned_off_is_not_called_for_the_rest_of_its_parcel(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "CATALOG_S", 0.0)

    def paced(url: str) -> list[Listing]:
        small = listing("first/small", url=url, requests_per_minute=120)
        return [small, listing("second/large", url=url)]

    async def turn_off(
        stub: Stub, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        small, large = paced(stub.url)
        with engine.begin() as conn:
            sync_catalog(conn, [replace(small, off_reason="legal said so"), large])
        return answer(stub, request, body)

    stub = do(engine, wishes(60), only("small", turn_off), offers=paced)

    # All are noted at once, and two a second go out, until the next flush has read of it.
    assert stub.models.count("small") < 40
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 60}
        assert_books_are_right(conn)


def test_a_job_is_never_tried_for_more_than_it_may_cost(engine: Engine) -> None:
    jobs = [Wish(key="a", max_cost_nusd=4_000_000)]  # the first option's 3.4 mUSD, not the second's
    stub = do(engine, jobs, only("small", down))

    assert set(stub.models) == {"small"}
    with engine.begin() as conn:
        assert job_states(conn) == {"queued": 1}
        assert_books_are_right(conn)
    assert any("cost more than the job may" in reason for reason in reasons(engine))


def test_a_job_that_every_option_refuses_fails_with_the_reason(engine: Engine) -> None:
    do(engine, wishes(3), refuse)

    with engine.begin() as conn:
        assert job_states(conn) == {"failed": 3}
        assert (
            count(conn, "result", "status = 'failed' AND reason LIKE '%first/small: refused%'") == 3
        )
        assert_books_are_right(conn)


def test_a_job_whose_offers_are_all_down_waits_for_the_next_window(engine: Engine) -> None:
    do(engine, wishes(30), down)

    with engine.begin() as conn:
        assert job_states(conn) == {"queued": 30}
        assert total_nusd(conn, "reservation") == total_nusd(conn, "release") > 0
        assert_books_are_right(conn)


def test_a_job_that_is_given_back_is_looked_at_again_by_its_deadline(engine: Engine) -> None:
    async def due(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        with engine.begin() as conn:
            conn.execute(text("UPDATE job SET deadline = now() + interval '30 s'"))
        return error(503)

    do(engine, wishes(1), due)

    with engine.begin() as conn:
        assert job_states(conn) == {"queued": 1}
        assert count(conn, "job", "not_before = deadline AND not_before > now()") == 1


def test_an_answer_that_breaks_the_contract_is_billed_as_waste(engine: Engine) -> None:
    jobs = [Wish(key="a", task=Task.CLASSIFY, params={"labels": ["spam", "ham"]})]

    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["model"] == "large":
            return answer(stub, request, body, text="ham")
        return await babble(stub, request, body)

    stub = do(engine, jobs, reply)

    bills = [1_000 * sent + 4_000 * written for sent, written in stub.billed.values()]
    with engine.begin() as conn:
        assert total_nusd(conn, "waste") == bills[0]
        assert total_nusd(conn, "posting") == 2 * bills[1]
        assert conn.execute(text("SELECT output FROM result")).scalar_one() == "ham"
        assert_books_are_right(conn)


def test_an_answer_that_was_cut_off_at_its_limit_is_no_result(engine: Engine) -> None:
    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return answer(stub, request, body, finish="length")

    do(engine, wishes(2), reply)

    with engine.begin() as conn:
        assert job_states(conn) == {"failed": 2}
        assert count(conn, "attempt", "error LIKE 'bad_output: cut off%'") == 4
        assert_books_are_right(conn)


def test_a_lost_answer_keeps_its_reservation_and_the_job_is_done_elsewhere(engine: Engine) -> None:
    do(engine, wishes(4), only("small", cut))

    assert offers_of_results(engine) == {"second/large": 4}
    with engine.begin() as conn:
        assert count(conn, "attempt", "state = 'unknown'") == 4
        assert count(conn, "job", "held_nusd > 0 AND reserved_nusd = held_nusd") == 4
        assert_books_are_right(conn)


def test_an_answer_with_absurd_usage_is_a_result_whose_price_is_unknown(engine: Engine) -> None:
    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        said = {"prompt_tokens": 10**9, "completion_tokens": 10**9}
        return answer(stub, request, body, said=said)

    do(engine, wishes(3), reply, offers=one)

    with engine.begin() as conn:
        assert job_states(conn) == {"done": 3}
        assert count(conn, "attempt", "state = 'unknown' AND cost_nusd IS NULL") == 3
        assert total_nusd(conn, "posting") == 0
        assert_books_are_right(conn)


def test_a_job_goes_back_to_the_queue_after_its_attempts_of_one_plan(engine: Engine) -> None:
    stub = do(engine, wishes(1), cut, policy=policy(attempts_max=3, breaker_failures=99))

    assert len(stub.keys) == 3
    with engine.begin() as conn:
        assert job_states(conn) == {"queued": 1}
        assert count(conn, "job", "held_nusd > 0 AND reserved_nusd = held_nusd") == 1
        assert_books_are_right(conn)


def test_a_job_that_was_attempted_too_often_in_all_fails(engine: Engine) -> None:
    do(engine, wishes(1), cut, policy=policy(job_attempts_max=2, breaker_failures=99))

    with engine.begin() as conn:
        assert job_states(conn) == {"failed": 1}
        assert count(conn, "result", "reason LIKE 'given up after 2 attempts%'") == 1
        assert_books_are_right(conn)


def test_what_was_turned_away_unbilled_is_tried_again_in_the_same_attempt(engine: Engine) -> None:
    seen: set[str] = set()

    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        key = request.headers["Idempotency-Key"]
        if key in seen:
            return answer(stub, request, body)
        seen.add(key)
        return error(429, code="rate_limit_exceeded", retry_after_s="0.01")

    stub = do(engine, wishes(6), reply, offers=one)

    assert len(stub.keys) == 12
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 6}
        assert count(conn, "attempt") == 6
        assert_books_are_right(conn)


def test_a_bill_beyond_what_was_set_aside_asks_for_the_excess(engine: Engine) -> None:
    def short(url: str) -> list[Listing]:
        return [listing("first/small", url=url, usd_per_million=(1, 4))]

    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        # Believable, and more than the plan set aside for its input.
        return answer(stub, request, body, usage=(3_900, 100))

    do(engine, [Wish(key="a")], reply, offers=short)

    with engine.begin() as conn:
        assert total_nusd(conn, "posting") == 3_900 * 1_000 + 100 * 4_000
        assert total_nusd(conn, "overrun") == 0
        assert_books_are_right(conn)


def test_a_bill_that_no_budget_can_bear_is_an_overrun(engine: Engine) -> None:
    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return answer(stub, request, body, usage=(3_900, 100))

    usd = 3.42e-3  # the option sets aside 3.42 mUSD; the bill is 4.3
    do(engine, [Wish(key="a")], reply, offers=one, usd=usd)

    with engine.begin() as conn:
        assert job_states(conn) == {"done": 1}
        spent = total_nusd(conn, "posting")
        assert total_nusd(conn, "overrun") == 4_300_000 - spent > 0
        assert_books_are_right(conn)
