"""The queue in columns: which jobs come, what is read of them, and by which index."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Connection, text

from scheduler.domain.job import DataClass, Task, When
from scheduler.estimate.features import FEATURES
from scheduler.store.windows import (
    DATA_CLASSES,
    NO_DEADLINE,
    NO_MAX_COST,
    TASKS,
    UNSAID,
    due_jobs,
    read_window,
)
from tests.planning.queued import NOON, Wish, add_jobs
from tests.planning.windows import window_of

SECOND = timedelta(seconds=1)


def ids(conn: Connection, *, limit: int = 10, **before: datetime) -> list[int]:
    window = read_window(conn, before={When(when): at for when, at in before.items()}, limit=limit)
    return window.job_id.tolist()


def test_a_window_has_what_the_job_and_its_document_say(conn: Connection) -> None:
    wishes = [
        Wish(),
        Wish(
            task=Task.ANSWER,
            params='{"question": "Who?", "words": 40}',
            priority=9,
            deadline=NOON + timedelta(microseconds=1),
            min_quality_ppm=800_000,
            max_cost_nusd=5,
            gain_nusd=0,
            loss_nusd=9,
            residency=["eu", "ch"],
            data_class=DataClass.CONFIDENTIAL,
            deferrals=3,
        ),
    ]
    add_jobs(conn, *wishes)
    conn.execute(text("UPDATE job SET spent_nusd = 7 WHERE priority = 9"))

    window = read_window(conn, before={When.NOW: NOON}, limit=10)

    assert window.jobs == 2
    assert [TASKS[code] for code in window.task.tolist()] == [Task.SUMMARIZE, Task.ANSWER]
    assert window.priority.tolist() == [5, 9]
    assert window.due_us.tolist() == [NO_DEADLINE, int(NOON.timestamp()) * 1_000_000 + 1]
    assert window.min_quality_ppm.tolist() == [0, 800_000]
    assert window.max_cost_nusd.tolist() == [NO_MAX_COST, 5]
    assert window.gain_nusd.tolist() == [UNSAID, 0]
    assert window.loss_nusd.tolist() == [UNSAID, 9]
    assert [window.places[code] for code in window.place.tolist()] == [(), ("eu", "ch")]
    assert DATA_CLASSES[window.data_class[1]] is DataClass.CONFIDENTIAL
    assert window.deferrals.tolist() == [0, 3]
    assert window.used_nusd.tolist() == [0, 7]
    assert window.words.tolist() == [0, 40]
    assert window.params_bytes[1] > window.params_bytes[0]
    same = window_of(*wishes)
    assert np.array_equal(window.features, same.features.astype(np.float16))
    assert np.array_equal(window.token_stats, same.token_stats)


def test_a_job_comes_when_its_time_has_come(conn: Connection) -> None:
    due, later = add_jobs(conn, Wish(not_before=NOON), Wish(not_before=NOON + SECOND))

    assert ids(conn, now=NOON - SECOND) == []
    assert ids(conn, now=NOON) == [due]
    assert ids(conn, now=NOON + SECOND) == [due, later]


def test_a_window_is_of_the_kinds_that_were_asked_for(conn: Connection) -> None:
    day, night = add_jobs(conn, Wish(when=When.NOW), Wish(when=When.NIGHT))

    assert ids(conn, now=NOON) == [day]
    assert ids(conn, night=NOON) == [night]
    assert ids(conn, now=NOON, night=NOON) == [day, night]


def test_only_queued_jobs_come(conn: Connection) -> None:
    queued, failed = add_jobs(conn, Wish(), Wish())
    conn.execute(
        text("UPDATE job SET state = 'failed', finished_at = now() WHERE id = :id"), {"id": failed}
    )

    assert ids(conn, now=NOON) == [queued]


def test_those_that_wait_longest_come_first_and_in_the_order_of_their_ids(
    conn: Connection,
) -> None:
    first, _, third = add_jobs(
        conn,
        Wish(not_before=NOON - SECOND),
        Wish(not_before=NOON, when=When.NIGHT),
        Wish(not_before=NOON - 2 * SECOND),
    )

    assert ids(conn, limit=2, now=NOON, night=NOON) == [first, third]
    assert ids(conn, limit=1, now=NOON, night=NOON) == [third]


def test_the_stricter_of_what_was_said_and_found_counts(conn: Connection) -> None:
    restricted = Wish(found_class=DataClass.RESTRICTED)
    add_jobs(conn, restricted, replace(restricted, data_class=DataClass.INTERNAL), Wish())

    window = read_window(conn, before={When.NOW: NOON}, limit=10)

    assert [DATA_CLASSES[code] for code in window.data_class.tolist()] == [
        DataClass.RESTRICTED,
        DataClass.RESTRICTED,
        DataClass.PUBLIC,
    ]


def test_features_of_another_version_count_as_unknown(conn: Connection) -> None:
    add_jobs(conn, Wish())
    conn.execute(text("UPDATE document SET features = '\\x00112233'"))

    window = read_window(conn, before={When.NOW: NOON}, limit=10)

    assert window.features.shape == (1, FEATURES)
    assert not window.features.any()
    assert window.token_stats.any()


def test_regions_that_differ_only_in_how_they_are_split_are_told_apart(conn: Connection) -> None:
    add_jobs(conn, Wish(residency=["eu,ch"]), Wish(residency=["eu", "ch"]))

    window = read_window(conn, before={When.NOW: NOON}, limit=10)

    assert [window.places[code] for code in window.place.tolist()] == [("eu,ch",), ("eu", "ch")]


def test_an_empty_queue_is_an_empty_window(conn: Connection) -> None:
    window = read_window(conn, before={When.NOW: NOON}, limit=10)

    assert window.jobs == 0
    assert window.features.shape == (0, FEATURES)


def test_a_changed_job_has_another_version(conn: Connection) -> None:
    add_jobs(conn, Wish())
    conn.commit()
    before = read_window(conn, before={When.NOW: NOON}, limit=1).version
    conn.execute(text("UPDATE job SET priority = 6"))

    assert read_window(conn, before={When.NOW: NOON}, limit=1).version != before


def test_what_is_due_is_counted_up_to_the_limit(conn: Connection) -> None:
    add_jobs(conn, Wish(not_before=NOON - SECOND), Wish(), Wish(), Wish(when=When.NIGHT))

    due = due_jobs(conn, when=When.NOW, before=NOON, limit=2)
    assert (due.jobs, due.oldest) == (2, NOON - SECOND)
    assert due_jobs(conn, when=When.NIGHT, before=NOON, limit=2).jobs == 1
    none = due_jobs(conn, when=When.NOW, before=datetime(2020, 1, 1, tzinfo=UTC), limit=2)
    assert (none.jobs, none.oldest) == (0, None)
