"""What feedback may say, and that none of it stops its partition."""

import pytest
from sqlalchemy import Connection, text

from scheduler.domain.policy import IntakePolicy
from scheduler.intake.chunk import Refusal
from scheduler.intake.feedback import FeedbackIntake
from scheduler.intake.submission import submission_reader, submit_messages
from scheduler.store.scopes import ensure_scope
from tests.intake.conftest import job_message

INTAKE = FeedbackIntake(default_scope=IntakePolicy().default_scope)


def take_in(conn: Connection, *messages: bytes) -> list[Refusal]:
    """Take *messages* in, on the job `a`; those that were refused."""
    ensure_scope(conn, INTAKE.default_scope)
    submit_messages(conn, [job_message("a")], reader=submission_reader(IntakePolicy()))
    said = INTAKE.read(messages, [()] * len(messages))
    return INTAKE.store(conn, said, source="test")


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        (b"NaN", "not finite"),
        (b'{"a": [-Infinity]}', "not finite"),
        (b"1e999", "not finite"),
        (b'"\\u0000"', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'"\\ud800"', "Invalid JSON"),
        (b"[" * 300 + b"]" * 300, "recursion"),
    ],
)
def test_a_reference_that_postgres_cannot_hold_is_refused(
    conn: Connection, reference: bytes, told: str
) -> None:
    [refused] = take_in(
        conn, b'{"job_id": "a", "kind": "reference", "reference": ' + reference + b"}"
    )

    assert told in refused.reason


@pytest.mark.parametrize("reference", ['"C:\\\\u0000"', "1" * 4_000, "false", '{"a": [1.5, null]}'])
def test_any_other_reference_is_kept(conn: Connection, reference: str) -> None:
    refused = take_in(
        conn, b'{"job_id": "a", "kind": "reference", "reference": %b}' % reference.encode()
    )

    assert refused == []
    assert conn.execute(
        text("SELECT reference = CAST(:said AS jsonb) FROM feedback"), {"said": reference}
    ).scalar_one()


def test_what_the_sender_calls_x_is_not_looked_at(conn: Connection) -> None:
    assert take_in(conn, b'{"job_id": "a", "kind": "use", "x-mine": "\\u0000"}') == []
