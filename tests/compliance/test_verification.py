"""Whatever is altered, put in, taken away or moved, the audit finds it and names its place."""

import json
from datetime import UTC

import pytest
from sqlalchemy import Connection, text

from scheduler.compliance.verification import Finding, verify
from scheduler.domain.evidence import Record
from scheduler.store.audit_calls import BILL, FACTS
from scheduler.store.evidence import append, records
from scheduler.store.resolution import Resolution, resolve
from tests.compliance.day import ANSWERED, LOST, WASTED
from tests.compliance.tampering import found, tamper
from workers.settle import CALL_FACTS


def checks(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.check for finding in findings}


def test_an_honest_day_has_no_faults(day: Connection) -> None:
    audit = verify(day)

    assert audit.findings == ()
    assert (audit.streams, audit.records) == (5, 12)


def test_an_empty_database_has_no_faults(conn: Connection) -> None:
    assert verify(conn).findings == ()


DECISIONS = "decisions against their plans' digests"
PLAN_RECORDS = "plans against their records"
PLAN_DECISIONS = "plans against their decisions"
CALLS = "calls against their records"
RESULTS = "results against their digests"
RESULT_RECORDS = "results against the calls' records"
RESULT_BILLS = "results against what was billed"
FAILURES = "failures against their records"
JOBS = "jobs against their results"
DOCUMENTS = "documents against their digests"
LEDGER_JOBS = "the ledger against the jobs"
LEDGER_DAYS = "the ledger against the days and plans"
LEDGER_CALLS = "the ledger against the calls"
LEDGER_BUDGETS = "the ledger against the budgets"
UNKNOWN = "unknown calls against the jobs"

UNANSWERED = (
    "UPDATE result SET status = 'failed', output = NULL, reason = 'x', digest = sha256('x'),"
    " attempt_id = NULL, offer_id = NULL, reduction = NULL WHERE job_id = 1"
)
PUT_OFF = (
    "UPDATE decision SET offer_id = NULL, price_id = NULL, reduction = NULL,"
    " reserved_nusd = NULL, deferral_reason = 'y' WHERE job_id = 1"
)

CALL_A, CALL_B, CALL_C = (f"attempt {attempt}" for attempt in (ANSWERED, WASTED, LOST))

RECORD_4 = "stream = 'long' AND seq = 4"
IN_4 = "stream long, record 4: "
ALTERED = IN_4 + "the record was altered, or put in the place of another"


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        (f"UPDATE evidence SET body = '{{\"n\":5}}' WHERE {RECORD_4}", ALTERED),
        (f"UPDATE evidence SET body = body || ' ' WHERE {RECORD_4}", ALTERED),
        (f"UPDATE evidence SET kind = 'l' WHERE {RECORD_4}", ALTERED),
        (f"UPDATE evidence SET at = at + interval '1 microsecond' WHERE {RECORD_4}", ALTERED),
        (f"UPDATE evidence SET digest = sha256(digest) WHERE {RECORD_4}", ALTERED),
        (
            f"DELETE FROM evidence WHERE {RECORD_4}",
            "stream long, record 5: record 4 is missing before it",
        ),
        (
            "DELETE FROM evidence WHERE stream = 'long' AND seq BETWEEN 3 AND 5",
            "stream long, record 6: records 3-5 are missing before it",
        ),
        (
            "DELETE FROM evidence WHERE stream = 'long' AND seq = 1",
            "stream long, record 2: record 1 is missing before it",
        ),
        (
            "DELETE FROM evidence WHERE stream = 'long' AND seq > 5",
            "stream long, record 5: the records after it are gone: the head says 7",
        ),
        (
            "DELETE FROM evidence WHERE stream = 'long'",
            "stream long, record 1: all 7 records are gone",
        ),
        (
            "INSERT INTO evidence SELECT stream, seq, at + interval '1 s', kind, body, digest"
            f" FROM evidence WHERE {RECORD_4}",
            IN_4 + "a second record 4 was put in",
        ),
        (
            "INSERT INTO evidence SELECT stream, 8, at, kind, body, digest"
            f" FROM evidence WHERE {RECORD_4}",
            "stream long, record 8: was put in after the end: the head says 7",
        ),
        (
            "UPDATE evidence SET body = other.body, digest = other.digest FROM evidence AS other"
            " WHERE evidence.stream = 'long' AND other.stream = 'long'"
            " AND evidence.seq IN (4, 5) AND other.seq = 9 - evidence.seq",
            ALTERED,
        ),
        (
            "DELETE FROM evidence_head WHERE stream = 'long'",
            "stream long, record 7: the stream's head is gone",
        ),
        (
            "UPDATE evidence_head SET digest = sha256(digest) WHERE stream = 'long'",
            "stream long, record 7: the last record is not the head's",
        ),
        (
            "UPDATE evidence SET stream = 'wrong' WHERE stream = 'long' AND seq = 7",
            "stream long, record 6: the records after it are gone: the head says 7",
        ),
    ],
)
def test_a_chain_that_was_touched_breaks_where_it_was_touched(
    day: Connection, statement: str, where: str
) -> None:
    tamper(day, statement)

    assert where in found(day)


def test_one_altered_record_is_one_fault(day: Connection) -> None:
    tamper(day, f"UPDATE evidence SET body = '[]' WHERE {RECORD_4}")

    assert found(day) == [ALTERED]


@pytest.mark.parametrize(
    "body", ["{", "", "[1]", "{}", '{"facts": 1, "calls": {}}', '{"plan": "x"}']
)
@pytest.mark.parametrize("stream", ["plan", "work-1"])
def test_a_record_that_can_no_longer_be_read_is_named_and_does_not_end_the_audit(
    day: Connection, stream: str, body: str
) -> None:
    tamper(day, f"UPDATE evidence SET body = '{body}' WHERE stream = '{stream}'")

    findings = verify(day).findings

    assert any(one.where == f"stream {stream}, record 1" for one in findings)
    assert checks(findings) & {PLAN_RECORDS, CALLS}


def test_a_record_whose_digest_was_made_to_fit_shows_at_the_next(day: Connection) -> None:
    row = day.execute(text(f"SELECT * FROM evidence WHERE {RECORD_4}")).one()
    before = day.execute(
        text("SELECT digest FROM evidence WHERE stream = 'long' AND seq = 3")
    ).scalar_one()
    at = row.at.astimezone(UTC).isoformat(timespec="microseconds")
    forged = Record(stream="long", seq=4, at=at, kind="k", body="[]").digest_after(before)

    tamper(
        day,
        f"UPDATE evidence SET body = '[]', digest = '\\x{forged.hex()}'::bytea WHERE {RECORD_4}",
    )

    assert found(day) == [ALTERED.replace("4", "5")]


@pytest.mark.parametrize(
    ("statement", "where", "check"),
    [
        (
            "UPDATE decision SET offer_id = NULL, price_id = NULL, reduction = NULL,"
            " reserved_nusd = NULL, deferral_reason = 'x' WHERE job_id = 2",
            "plan 1",
            DECISIONS,
        ),
        (
            "UPDATE decision SET quality_ppm = 1 WHERE job_id = 1",
            "plan 1",
            DECISIONS,
        ),
        (
            "UPDATE decision SET alternatives = '[{\"offer_id\": 2}]' WHERE job_id = 1",
            "plan 1",
            DECISIONS,
        ),
        (
            "DELETE FROM decision WHERE job_id = 4",
            "plan 1",
            DECISIONS,
        ),
        ("DELETE FROM decision", "plan 1", DECISIONS),
        (
            "INSERT INTO decision (plan_id, job_id, deferral_reason) VALUES (1, 5, 'x')",
            "plan 1",
            PLAN_DECISIONS,
        ),
        ("UPDATE plan SET decisions_digest = ''", "plan 1", PLAN_RECORDS),
        ("UPDATE plan SET seed = 2", "plan 1", PLAN_RECORDS),
        ("UPDATE plan SET cost_nusd = 149", "plan 1", PLAN_RECORDS),
        ("UPDATE plan SET value = 2.5", "plan 1", PLAN_RECORDS),
        ("UPDATE plan SET bound = 2.4", "plan 1", PLAN_RECORDS),
        ("UPDATE plan SET gap = 0, passes = 4, solve_s = 1", "plan 1", PLAN_RECORDS),
        ("UPDATE plan SET rows = jsonb_set(rows, '{0,price}', '2e-7')", "plan 1", PLAN_RECORDS),
        ('UPDATE plan SET inputs = \'{"policy": "cd"}\'', "plan 1", PLAN_RECORDS),
        ("DELETE FROM plan", "plan 1", PLAN_RECORDS),
        (
            "INSERT INTO plan (jobs, planned, deferred, passes, window_kind, value, bound, gap,"
            " solve_s, seed, cost_nusd, reserved_nusd, rows, inputs, decisions_digest)"
            " VALUES (0, 0, 0, 0, 'asked', 0, 0, 0, 0, 0, 0, 0, '[]', '{}', sha256(''))",
            "plan 2",
            PLAN_RECORDS,
        ),
        ("UPDATE attempt SET offer_id = 2 WHERE job_id = 1", CALL_A, CALLS),
        ("UPDATE attempt SET parcel_id = 2 WHERE job_id = 1", CALL_A, CALLS),
        ("UPDATE attempt SET cost_nusd = 61 WHERE job_id = 1", CALL_A, CALLS),
        ("UPDATE attempt SET served_model = 'large' WHERE job_id = 2", CALL_B, CALLS),
        ("UPDATE attempt SET request_id = NULL WHERE job_id = 2", CALL_B, CALLS),
        ("UPDATE attempt SET state = 'failed' WHERE job_id = 1", CALL_A, CALLS),
        ("UPDATE attempt SET state = 'failed', cost_nusd = 0 WHERE job_id = 3", CALL_C, CALLS),
        ("DELETE FROM attempt WHERE job_id = 2", CALL_B, CALLS),
        (
            "INSERT INTO attempt SELECT gen_random_uuid(), started_at, job_id, parcel_id, ordinal,"
            " fence, offer_id, price_id, reduction, prompt, state, reserved_nusd, booked_on, 0"
            " AS cost_nusd, input_tokens, output_tokens, finish, served_model, request_id, error,"
            " seconds, finished_at FROM attempt WHERE job_id = 2",
            "attempt",
            CALLS,
        ),
        ("UPDATE result SET output = '\"another\"' WHERE job_id = 1", "job 1", RESULTS),
        ("UPDATE result SET reason = 'another' WHERE job_id = 2", "job 2", RESULTS),
        (
            "UPDATE result SET output = '1', digest = sha256('1') WHERE job_id = 1",
            "job 1",
            RESULT_RECORDS,
        ),
        (
            f"UPDATE result SET attempt_id = '{WASTED}' WHERE job_id = 1",
            "job 1",
            RESULT_RECORDS,
        ),
        ("UPDATE result SET offer_id = 2 WHERE job_id = 1", "job 1", RESULT_RECORDS),
        ("UPDATE result SET reduction = 'light' WHERE job_id = 1", "job 1", RESULT_RECORDS),
        (f"{UNANSWERED}; UPDATE job SET state = 'failed' WHERE id = 1", "job 1", RESULT_RECORDS),
        ("UPDATE result SET cost_nusd = 59 WHERE job_id = 1", "job 1", RESULT_BILLS),
        ("UPDATE result SET cost_nusd = 41 WHERE job_id = 2", "job 2", RESULT_BILLS),
        ("UPDATE result SET tenant_id = 2 WHERE job_id = 2", "job 2", RESULT_BILLS),
        (
            "UPDATE result SET reason = 'x', digest = sha256('x') WHERE job_id = 2",
            "job 2",
            FAILURES,
        ),
        (f"{PUT_OFF}; {UNANSWERED}", "job 1", FAILURES),
        ("DELETE FROM result WHERE job_id = 2", "job 2", FAILURES),
        ("DELETE FROM result WHERE job_id = 1", "job 1", JOBS),
        ("UPDATE job SET state = 'done' WHERE id = 2", "job 2", JOBS),
        ("UPDATE document SET body = 'x' WHERE id = 2", "document 2", DOCUMENTS),
        ("DELETE FROM document WHERE id = 2", "job 2", DOCUMENTS),
        ("UPDATE ledger SET amount_nusd = 99 WHERE job_id = 3", "job 3", LEDGER_JOBS),
        ("UPDATE ledger SET kind = 'waste' WHERE kind = 'posting'", CALL_A, LEDGER_CALLS),
        ("UPDATE ledger SET kind = 'posting' WHERE kind = 'waste'", CALL_B, LEDGER_CALLS),
        ("UPDATE ledger SET offer_id = 2 WHERE kind = 'posting'", CALL_A, LEDGER_CALLS),
        (
            "UPDATE ledger SET booked_on = booked_on - 1 WHERE kind = 'posting'",
            CALL_A,
            LEDGER_CALLS,
        ),
        ("UPDATE ledger SET project_id = 2 WHERE job_id = 3", "job 3", LEDGER_JOBS),
        ("DELETE FROM ledger WHERE kind = 'release'", "job 1", LEDGER_JOBS),
        ("DELETE FROM ledger WHERE kind = 'posting'", CALL_A, LEDGER_CALLS),
        (
            "UPDATE ledger SET booked_on = booked_on - 400 WHERE job_id = 3",
            "budget default",
            LEDGER_BUDGETS,
        ),
        ("UPDATE ledger SET job_id = 9 WHERE job_id = 3", "job 9", LEDGER_JOBS),
        (
            "UPDATE ledger SET booked_on = booked_on + 1 WHERE kind = 'release' AND job_id = 1",
            "job 1",
            LEDGER_DAYS,
        ),
        ("UPDATE ledger SET booked_on = booked_on + 1 WHERE job_id = 3", "job 3", LEDGER_DAYS),
        ("UPDATE attempt SET booked_on = booked_on + 1 WHERE job_id = 3", "job 3", LEDGER_DAYS),
        ("UPDATE ledger SET plan_id = 2 WHERE job_id = 3", "job 3", LEDGER_DAYS),
        ("UPDATE ledger SET tenant_id = 2 WHERE kind = 'release'", "job 1", LEDGER_JOBS),
        ("UPDATE job SET spent_nusd = 59 WHERE id = 1", "job 1", LEDGER_JOBS),
        ("UPDATE budget SET spent_nusd = 99", "budget default", LEDGER_BUDGETS),
        ("UPDATE budget SET overrun_nusd = 1", "budget default", LEDGER_BUDGETS),
        ("UPDATE job SET held_nusd = 99 WHERE id = 3", "job 3", UNKNOWN),
        ("DELETE FROM job WHERE id = 1", "job 1", LEDGER_JOBS),
    ],
)
def test_a_row_that_was_touched_does_not_agree_with_the_others(
    day: Connection, statement: str, where: str, check: str
) -> None:
    tamper(day, statement)

    findings = verify(day).findings

    assert check in checks(findings)
    assert any(one.where.startswith(where) for one in findings if one.check == check), findings


def test_what_an_unknown_call_turned_out_to_cost_is_part_of_the_trail(day: Connection) -> None:
    resolve(day, Resolution(attempt_id=LOST, cost_nusd=70, input_tokens=9), by="finance")
    assert verify(day).findings == ()

    tamper(day, "UPDATE attempt SET cost_nusd = 71 WHERE job_id = 3")

    assert f"{CALL_C}: cost_nusd is 71, recorded as 70" in found(day)


def test_a_bill_that_comes_after_the_result_is_not_in_it(day: Connection) -> None:
    day.execute(text("UPDATE job SET state = 'failed', finished_at = now() WHERE id = 3"))
    day.execute(
        text(
            "INSERT INTO result (job_id, tenant_id, status, reason, cost_nusd, digest)"
            " VALUES (3, 1, 'failed', 'x', 0, sha256('x'))"
        )
    )
    resolve(day, Resolution(attempt_id=LOST, cost_nusd=70), by="finance")

    assert verify(day).findings == ()


def test_what_an_altered_call_was_is_told(day: Connection) -> None:
    tamper(day, "UPDATE attempt SET served_model = 'large', input_tokens = 9 WHERE job_id = 1")

    assert found(day) == [
        f"{CALL_A}: served_model is large, recorded as small-1; input_tokens is 9, recorded as 20"
    ]


def test_the_audit_knows_every_fact_that_workers_record() -> None:
    told_elsewhere = {"attempt", "state", "prompt_digest", "output_digest"}

    assert set(CALL_FACTS) == {*FACTS, *BILL, *told_elsewhere}


def test_what_an_older_program_did_not_record_is_not_compared(day: Connection) -> None:
    """Its records of calls do not say of which parcel a call was."""
    [(record, _)] = records(day, stream="work-1")
    body = json.loads(record.body)
    place = body["facts"].index("parcel")
    older = {
        "facts": [fact for fact in body["facts"] if fact != "parcel"],
        "calls": [call[:place] + call[place + 1 :] for call in body["calls"]],
        "worker": "w",
        "failed": body["failed"],
    }
    tamper(day, "DELETE FROM evidence WHERE stream = 'work-1'")
    tamper(day, "DELETE FROM evidence_head WHERE stream = 'work-1'")
    append(day, stream="work-1", kind="calls", bodies=[older])

    assert found(day) == []


def test_records_of_an_older_program_s_order_of_facts_are_read(day: Connection) -> None:
    body = {"calls": [[1, str(WASTED)]], "facts": ["job", "attempt"], "worker": "w"}
    tamper(day, "DELETE FROM attempt WHERE job_id = 2")
    append(day, stream="work-1", kind="calls", bodies=[body])

    assert f"{CALL_B}: is recorded, and its row is gone" in found(day)
