"""A parcel worked off against a provider on the wire, and settled in the ledger."""

import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from sqlalchemy import Engine, text

from scheduler.domain.listing import Listing
from scheduler.domain.policy import WorkPolicy
from tests.workers.audit import assert_books_are_right, count, job_states, total_nusd
from tests.workers.bench import POLICY, desk_for, work_off
from tests.workers.planned import Wish, add_budget, listing, plan, wishes
from tests.workers.stub import Reply, Stub, answer, good, serving
from workers import loop


def do(
    engine: Engine,
    jobs: Sequence[Wish],
    *,
    reply: Reply = good,
    policy: WorkPolicy = POLICY,
    usd: float = 10,
    parcel_jobs: int = 256,
    offers: Sequence[Listing] = (),
) -> Stub:
    """Plan *jobs* for one offer, at a provider that does *reply*, and work them off."""

    async def scene() -> Stub:
        async with serving(reply) as stub:
            listings = [listing("acme-ai/small", url=stub.url), *offers]
            with engine.begin() as conn:
                add_budget(conn, usd)
                plan(conn, jobs, listings=listings, parcel_jobs=parcel_jobs)
            async with desk_for(engine, listings, policy=policy) as desk:
                await work_off(desk, "acme-ai")
            return stub

    return loop.run(scene())


def test_every_job_of_every_parcel_gets_one_result(engine: Engine) -> None:
    stub = do(engine, wishes(300), parcel_jobs=128)

    assert len(stub.keys) == len(set(stub.keys)) == 300
    with engine.begin() as conn:
        assert job_states(conn) == {"done": 300}
        assert count(conn, "parcel", "state = 'done'") == 3
        assert_books_are_right(conn)


def test_what_is_posted_is_what_the_provider_bills(engine: Engine) -> None:
    stub = do(engine, wishes(50))

    # 1 USD per million input tokens is 1 000 nUSD a token; output costs four times that.
    bill_nusd = sum(1_000 * sent + 4_000 * written for sent, written in stub.billed.values())
    with engine.begin() as conn:
        assert total_nusd(conn, "posting") == bill_nusd
        assert total_nusd(conn, "waste") == 0


def test_a_result_says_what_it_is_and_what_it_cost(engine: Engine) -> None:
    do(engine, [Wish(key="a1", tags={"case": "7"})])

    with engine.begin() as conn:
        [payload] = conn.execute(text("SELECT payload FROM outbox")).scalars()
    said = json.loads(payload)
    assert said["job_id"] == "a1"
    assert said["status"] == "done"
    assert said["output"] == "A short summary."
    assert (said["provider"], said["offer"], said["model"]) == ("acme-ai", "acme-ai/small", "small")
    assert said["tags"] == {"case": "7"}
    cost_nusd = 1_000 * said["input_tokens"] + 4_000 * said["output_tokens"]
    assert said["cost_usd"] == f"{cost_nusd / 1e9:.9f}".rstrip("0")


def test_whatever_a_provider_calls_its_model_can_be_stored(engine: Engine) -> None:
    async def reply(stub: Stub, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        answered = answer(stub, request, body | {"model": 'm\0 "\\' + "x" * 10_000})
        answered.headers["x-request-id"] = "{,NULL}"
        return answered

    do(engine, wishes(3), reply=reply)

    with engine.begin() as conn:
        assert job_states(conn) == {"done": 3}
        models = conn.execute(text("SELECT DISTINCT served_model FROM attempt")).scalars()
        assert next(models).startswith('m "\\xxx')
        assert_books_are_right(conn)
