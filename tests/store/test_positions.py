"""Positions by compare-and-set."""

import pytest
from sqlalchemy import Connection

from scheduler.domain.errors import PositionMoved
from scheduler.store.positions import advance, open_position, skip_to


def test_a_partition_is_read_from_the_earliest_and_then_from_where_it_was_left(
    conn: Connection,
) -> None:
    assert open_position(conn, topic="jobs", partition=0, earliest=5) == 5
    advance(conn, topic="jobs", partition=0, start=5, end=8)

    assert open_position(conn, topic="jobs", partition=0, earliest=0) == 8
    assert open_position(conn, topic="jobs", partition=1, earliest=0) == 0


def test_a_consumer_that_lost_its_partition_stores_nothing(conn: Connection) -> None:
    open_position(conn, topic="jobs", partition=0, earliest=5)
    advance(conn, topic="jobs", partition=0, start=5, end=8)

    for start in (5, 6, 9):
        with pytest.raises(PositionMoved):
            advance(conn, topic="jobs", partition=0, start=start, end=10)

    assert open_position(conn, topic="jobs", partition=0, earliest=0) == 8


def test_a_gap_is_passed_by_one_of_two(conn: Connection) -> None:
    open_position(conn, topic="jobs", partition=0, earliest=5)

    skip_to(conn, topic="jobs", partition=0, start=5, to=90)

    with pytest.raises(PositionMoved):
        skip_to(conn, topic="jobs", partition=0, start=5, to=90)
