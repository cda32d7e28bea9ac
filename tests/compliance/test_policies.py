"""What plans and calls went by can be read from the evidence, every figure of it."""

import json
from dataclasses import asdict, replace

from sqlalchemy import Connection, Engine, text

from scheduler.compliance.verification import POLICIES, verify
from scheduler.domain.policy import Policy
from scheduler.planning.learning import learn
from scheduler.store.evidence import append, records
from scheduler.store.policy_records import STREAM, prove_policy
from tests.compliance.tampering import tamper
from tests.planning.one_window import plan, ready
from tests.planning.queued import Wish, add_jobs, policy

DEARER = replace(policy(), plan=replace(policy().plan, alternatives=2))


def queue_another(engine: Engine) -> None:
    with engine.begin() as conn:
        add_jobs(conn, Wish())


def kept(conn: Connection) -> list[str]:
    """The digests (hex) of the policies on record."""
    return [json.loads(record.body)["digest"] for record, _ in records(conn, stream=STREAM)]


def faults(conn: Connection) -> list[str]:
    found = verify(conn).findings
    return [f"{one.where}: {one.what}" for one in found if one.check == POLICIES]


def test_a_plan_s_policy_is_spelled_out_once_and_before_the_plan(engine: Engine) -> None:
    ready(engine, Wish())
    plan(engine)
    queue_another(engine)
    plan(engine)

    with engine.connect() as conn:
        [(record, _)] = records(conn, stream=STREAM)
        [(first, _), _] = records(conn, stream="plan")
        assert record.at <= first.at
        assert faults(conn) == []
    said = json.loads(record.body)
    assert said["digest"] == policy().digest().hex()
    assert said["policy"] == json.loads(json.dumps(asdict(policy())))


def test_every_other_policy_has_a_record_of_its_own(engine: Engine) -> None:
    ready(engine, Wish())
    plan(engine)
    queue_another(engine)
    plan(engine, by=DEARER)

    with engine.connect() as conn:
        assert kept(conn) == [one.digest().hex() for one in (policy(), DEARER)]
        assert faults(conn) == []


def test_a_policy_that_is_on_record_already_gets_no_other(conn: Connection) -> None:
    for one in (Policy(), DEARER, Policy(), DEARER):
        prove_policy(conn, one)

    assert kept(conn) == [Policy().digest().hex(), DEARER.digest().hex()]


def test_plans_of_an_older_program_are_not_held_against_records(day: Connection) -> None:
    prove_policy(day, Policy())

    assert verify(day).findings == ()


def test_a_plan_under_a_policy_of_which_no_record_tells_is_found(engine: Engine) -> None:
    ready(engine, Wish())
    plan(engine)
    queue_another(engine)
    plan(engine)

    with engine.begin() as conn:
        tamper(conn, "UPDATE plan SET inputs = jsonb_set(inputs, '{policy}', '\"ab\"') WHERE id=2")
        assert "plan 2: went by a policy of which no record tells" in faults(conn)


def test_figures_that_are_not_their_digest_s_are_found(conn: Connection) -> None:
    body = {"digest": Policy().digest().hex(), "policy": asdict(DEARER)}
    append(conn, stream=STREAM, kind="policy", bodies=[body])

    said = "stream policy, record 1: the figures of a policy are not those of its digest"
    assert faults(conn) == [said]


def test_a_record_that_is_no_json_does_not_end_the_audit(conn: Connection) -> None:
    prove_policy(conn, Policy())
    tamper(conn, "UPDATE evidence SET body = 'x'")
    assert any("of its digest" in one for one in faults(conn))

    # And whoever works under it goes on.
    prove_policy(conn, Policy())
    assert conn.execute(text("SELECT count(*) FROM evidence")).scalar_one() == 2


def test_what_is_learned_names_a_policy_that_is_on_record(conn: Connection) -> None:
    learn(conn, policy=DEARER)

    bodies = [json.loads(record.body) for record, _ in records(conn, stream="learn")]
    assert {one["policy"] for one in bodies} == {DEARER.digest().hex()}
    assert kept(conn) == [DEARER.digest().hex()]
    assert faults(conn) == []


def test_a_lesson_under_a_policy_of_which_no_record_tells_is_found(conn: Connection) -> None:
    append(conn, stream="learn", kind="learn", bodies=[{"kind": "quality", "policy": "ab"}])

    assert faults(conn) == [
        "stream learn, record 1: went by a policy of which no record tells",
    ]


def test_what_an_older_program_learned_is_not_held_against_records(conn: Connection) -> None:
    append(conn, stream="learn", kind="learn", bodies=[{"kind": "quality"}])

    assert faults(conn) == []
