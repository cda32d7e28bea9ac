"""Versions of the estimators: kept for ever, one of each kind active."""

import pytest
from sqlalchemy import Connection

from scheduler.store.estimators import (
    NoSuchEstimator,
    activate,
    active_estimators,
    add_estimator,
    read_estimator,
)


def add(conn: Connection, kind: str, body: bytes) -> int:
    return add_estimator(conn, kind=kind, digest=body.ljust(32), body=body, figures={"ece": 0.02})


def test_a_version_counts_once_it_is_active(conn: Connection) -> None:
    first = add(conn, "quality", b"one")
    assert active_estimators(conn) == []

    activate(conn, kind="quality", estimator_id=first)
    assert [one.body for one in active_estimators(conn)] == [b"one"]


def test_one_version_of_a_kind_is_active_and_the_others_stay_readable(conn: Connection) -> None:
    first, second = add(conn, "quality", b"one"), add(conn, "quality", b"two")
    tokens = add(conn, "tokens", b"tok")
    for kind, number in (("quality", first), ("tokens", tokens), ("quality", second)):
        activate(conn, kind=kind, estimator_id=number)

    assert [(one.kind, one.body) for one in active_estimators(conn)] == [
        ("quality", b"two"),
        ("tokens", b"tok"),
    ]
    old = read_estimator(conn, digest=b"one".ljust(32))
    assert old is not None
    assert (old.id, old.body) == (first, b"one")


def test_what_was_learned_twice_alike_is_one_version(conn: Connection) -> None:
    assert add(conn, "quality", b"one") == add(conn, "quality", b"one")


def test_only_a_version_of_that_kind_can_be_activated(conn: Connection) -> None:
    tokens = add(conn, "tokens", b"tok")

    with pytest.raises(NoSuchEstimator, match="there is no quality estimator"):
        activate(conn, kind="quality", estimator_id=tokens)
    assert read_estimator(conn, digest=b"none") is None
