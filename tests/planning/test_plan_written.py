"""A plan in the books: its evidence, the world that moves meanwhile, one planner at a time."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from scheduler.domain.decision import decisions_digest
from scheduler.domain.errors import Overtaken
from scheduler.domain.evidence import first_fault
from scheduler.planning.commit import STREAM
from scheduler.planning.planner import PlannerBusy
from scheduler.store.evidence import records
from scheduler.store.locks import Duty, on_duty
from scheduler.store.plans import decision_rows
from tests.planning.one_window import one, plan, ready
from tests.planning.queued import (
    Wish,
    policy,
    rest,
    rows,
)


def test_the_plan_is_in_the_chain_with_what_it_went_by(engine: Engine) -> None:
    ready(engine, Wish(), Wish(residency=["mars"]))

    outcome = plan(engine)

    with engine.connect() as conn:
        found = list(records(conn, stream=STREAM))
        stored = one(conn, "SELECT * FROM plan")
        digest = decisions_digest(decision_rows(conn, plan_id=stored.id))
        prices = {
            row.name: row.digest.hex()
            for row in rows(conn, "SELECT name, digest FROM price JOIN offer ON offer.id=offer_id")
        }
    [(record, _)] = found
    assert first_fault(found) is None
    said = json.loads(record.body)
    assert said["plan"] == outcome.plan_id
    assert said["decisions_digest"] == digest.hex() == stored.decisions_digest.hex()
    assert said["inputs"]["prices"] == prices
    assert said["inputs"]["policy"] == policy().digest().hex()
    digested = {"quality", "tokens", "latency", "prices", "policy", "limits", "jobs"}
    assert set(said["inputs"]) == digested
    assert said["inputs"] == stored.inputs


def test_a_plan_s_record_says_which_offers_rested(engine: Engine) -> None:
    ready(engine, Wish())
    with engine.begin() as conn:
        [resting] = rows(conn, "SELECT id, name FROM offer ORDER BY id LIMIT 1")
        rest(conn, resting.id)

    plan(engine)

    with engine.connect() as conn:
        [(record, _)] = records(conn, stream=STREAM)
        assert json.loads(record.body)["inputs"]["resting"] == [resting.name]
        assert one(conn, "SELECT inputs FROM plan").inputs["resting"] == [resting.name]


EDITS = [
    "UPDATE decision SET reserved_nusd = reserved_nusd + 1 WHERE offer_id IS NOT NULL",
    "UPDATE decision SET deferral_reason = 'x' WHERE offer_id IS NULL",
    "UPDATE decision SET alternatives = '[]' WHERE offer_id IS NOT NULL",
    "DELETE FROM decision WHERE offer_id IS NULL",
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_decision_no_longer_fits_the_plans_digest(engine: Engine, edit: str) -> None:
    ready(engine, Wish(), Wish(residency=["mars"]))
    plan(engine)

    with engine.begin() as conn:
        stored = one(conn, "SELECT decisions_digest FROM plan").decisions_digest
        assert decisions_digest(decision_rows(conn, plan_id=1)) == stored
        conn.execute(text("SET session_replication_role = replica"))
        conn.execute(text(edit))
        assert decisions_digest(decision_rows(conn, plan_id=1)) != stored


def before_the_plan_is_written(engine: Engine, do: Callable[[], None], *, times: int = 1) -> None:
    """Do something in the moment between the solve and the plan's first row."""
    left = [times]

    @event.listens_for(engine, "before_cursor_execute")
    def meanwhile(
        conn: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if statement.startswith("INSERT INTO plan ") and left[0]:
            left[0] -= 1
            do()


MEANWHILE = {
    "a job was changed": "UPDATE job SET priority = 9 WHERE id = 1",
    "a job was ended": "UPDATE job SET state = 'failed', finished_at = now() WHERE id = 1",
    "a budget shrank": "UPDATE budget SET limit_nusd = 5600000",
    "a budget went": "DELETE FROM budget",
}


@pytest.mark.parametrize("change", list(MEANWHILE))
def test_when_the_world_moves_the_plan_is_made_again(engine: Engine, change: str) -> None:
    ready(engine, Wish(), Wish())

    def move() -> None:
        with engine.begin() as conn:
            conn.execute(text(MEANWHILE[change]))

    before_the_plan_is_written(engine, move)
    outcome = plan(engine)

    with engine.connect() as conn:
        # One plan is in the books, and it is of the world as it is.
        assert one(conn, "SELECT count(*) FROM plan").count == 1
        reserved = one(conn, "SELECT coalesce(sum(amount_nusd), 0) AS all FROM ledger").all
        assert reserved == one(conn, "SELECT sum(reserved_nusd) AS all FROM job").all
        assert outcome.reserved_nusd == reserved
        limits = rows(conn, "SELECT limit_nusd - reserved_nusd AS free FROM budget")
    assert all(row.free >= 0 for row in limits)


def test_a_world_that_never_rests_is_given_up_and_nothing_is_written(engine: Engine) -> None:
    ready(engine, Wish())

    def move() -> None:
        with engine.begin() as conn:
            conn.execute(text("UPDATE job SET priority = 1 + priority % 9"))

    before_the_plan_is_written(engine, move, times=9)
    with pytest.raises(Overtaken, match="1 of 1 jobs changed"):
        plan(engine, by=policy(solve_tries=2))

    with engine.connect() as conn:
        for table in ("plan", "decision", "parcel", "ledger"):
            assert rows(conn, f"SELECT FROM {table}") == []
        assert rows(conn, "SELECT FROM evidence WHERE kind = 'plan'") == []


def test_one_planner_at_a_time(engine: Engine) -> None:
    ready(engine, Wish())

    with on_duty(engine, Duty.PLANNING) as duty:
        assert duty is not None
        with pytest.raises(PlannerBusy):
            plan(engine)
    assert plan(engine).planned == 1
