"""Plans go by estimators that were put in use with a record, or it shows."""

import hashlib
from typing import Any

import pytest
from sqlalchemy import Connection

from scheduler.store.estimators import activate, add_estimator
from scheduler.store.evidence import append
from tests.compliance.tampering import found, tamper

FIRST, SECOND = b"first", b"second"


def seal(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def learn(conn: Connection, body: bytes, **said: Any) -> None:
    """Put a version in use, or not, as `apportion learn` leaves it behind."""
    digest = seal(body)
    made = add_estimator(conn, kind="quality", digest=digest, body=body, figures={})
    record = {"kind": "quality", "in_use": True, "figures": {"digest": digest.hex()}} | said
    if record["in_use"]:
        activate(conn, kind="quality", estimator_id=made)
    append(conn, stream="learn", kind="learn", bodies=[record])


@pytest.fixture
def learned(conn: Connection) -> Connection:
    """One version in use, and one that was not better."""
    learn(conn, FIRST)
    learn(conn, SECOND, in_use=False)
    return conn


def test_the_version_in_use_is_the_one_on_record(learned: Connection) -> None:
    assert found(learned) == []
    learn(learned, SECOND)
    assert found(learned) == []


def test_a_record_of_an_older_program_names_no_version_and_is_no_alarm(conn: Connection) -> None:
    learn(conn, FIRST, figures={})

    assert found(conn) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE estimator SET is_active = NOT is_active",
            "estimator of quality: is in use with the digest"
            f" {seal(SECOND).hex()}, recorded as {seal(FIRST).hex()}",
        ),
        (
            "UPDATE estimator SET is_active = false",
            "estimator of quality: is recorded as in use, and is not",
        ),
        (
            "UPDATE estimator SET body = 'x' WHERE NOT is_active",
            "estimator 2 of quality: its body is not the one of its digest",
        ),
        (
            "INSERT INTO estimator (kind, body, digest, is_active)"
            " VALUES ('tokens', 'x', sha256('x'), true)",
            "estimator of tokens: is in use, and no record tells of it",
        ),
    ],
)
def test_a_version_that_was_put_in_use_past_the_service_is_named(
    learned: Connection, statement: str, told: str
) -> None:
    tamper(learned, statement)

    assert found(learned) == [told]


def test_a_version_that_was_retired_may_not_be_in_use(learned: Connection) -> None:
    body = {"kind": "quality", "retired": "00", "reason": "another format"}
    append(learned, stream="learn", kind="learn", bodies=[body])

    assert found(learned) == ["estimator of quality: is in use, and no record tells of it"]
