"""Calls of unknown outcome, resolved once what they cost is known."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from scheduler.domain.work import AttemptState
from scheduler.store.attempts import Ended, end, start
from scheduler.store.audit_books import disagreements
from scheduler.store.audit_calls import CALL_RECORDS
from scheduler.store.calling import provider_id
from scheduler.store.evidence import records
from scheduler.store.parcels import lease_parcels
from scheduler.store.rescue import STREAM, rescue_parcels
from scheduler.store.resolution import NotUnknown, Resolution, list_unknown, resolve
from tests.workers.audit import assert_books_are_right, total_nusd
from tests.workers.planned import add_budget, listing, plan, wishes
from workers.ids import new_ids

Unknown = Callable[..., tuple[UUID, int]]


@pytest.fixture
def unknown(conn: Connection) -> Unknown:
    """Makes a call that its worker never reported; its id, and what is held for it."""

    def make(*, usd: float = 10) -> tuple[UUID, int]:
        add_budget(conn, usd)
        offers = [listing("acme/m", url="http://127.0.0.1:9/v1")]
        made = plan(conn, wishes(1), listings=offers)
        provider = provider_id(conn, "acme")
        assert provider is not None
        lease = timedelta(seconds=-1)
        lease_parcels(conn, provider_id=provider, worker="a", limit=1, lease=lease)
        job = conn.execute(text("SELECT id, reserved_nusd, booked_on FROM job")).one()
        attempt_id = UUID(new_ids(1)[0])
        offer = made.offers["acme/m"]
        now = conn.execute(text("SELECT now()")).scalar_one()
        row = (attempt_id, now, job.id, made.parcel_ids[0], 1, 1, offer.id, offer.price_id)
        start(conn, [(*row, "none", "summarize-1", job.reserved_nusd, job.booked_on)])
        rescue_parcels(conn, limit=1)
        return attempt_id, job.reserved_nusd

    return make


def test_what_it_cost_is_posted_and_the_rest_given_back(conn: Connection, unknown: Unknown) -> None:
    attempt_id, held_nusd = unknown()

    resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=1_000), by="finance")

    assert total_nusd(conn, "waste") == 1_000
    assert total_nusd(conn, "release") == held_nusd - 1_000
    assert list_unknown(conn) == []
    assert_books_are_right(conn)


def call_faults(conn: Connection) -> list[str]:
    return [found.what for found in disagreements(conn, CALL_RECORDS)]


def test_a_call_that_its_worker_never_told_of_is_part_of_the_trail(
    conn: Connection, unknown: Unknown
) -> None:
    attempt_id, _ = unknown()

    [(record, _)] = records(conn, stream=STREAM)
    assert str(attempt_id) in record.body
    assert '"worker":"a"' in record.body
    assert call_faults(conn) == []
    resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=1_000), by="finance")
    assert call_faults(conn) == []

    conn.execute(text("SET LOCAL session_replication_role = replica"))
    conn.execute(text("UPDATE attempt SET prompt = 'summarize-9'"))
    assert call_faults(conn) == ["prompt is summarize-9, recorded as summarize-1"]
    conn.execute(text("DELETE FROM evidence WHERE stream = 'rescue'"))
    assert call_faults(conn) == ["is failed, and no record tells of it"]


def test_what_was_not_billed_gives_all_of_it_back(conn: Connection, unknown: Unknown) -> None:
    attempt_id, held_nusd = unknown()

    resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=0), by="finance")

    assert total_nusd(conn, "waste") == 0
    assert total_nusd(conn, "release") == held_nusd
    assert_books_are_right(conn)


def test_what_cost_more_than_was_held_asks_for_the_excess(
    conn: Connection, unknown: Unknown
) -> None:
    attempt_id, held_nusd = unknown()

    resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=held_nusd + 5), by="finance")

    assert total_nusd(conn, "waste") == held_nusd + 5
    assert total_nusd(conn, "overrun") == 0
    assert_books_are_right(conn)


def test_what_cost_more_than_any_budget_has_is_an_overrun(
    conn: Connection, unknown: Unknown
) -> None:
    attempt_id, held_nusd = unknown()
    add_budget(conn, held_nusd / 1e9)

    resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=held_nusd + 5), by="finance")

    assert total_nusd(conn, "waste") == held_nusd
    assert total_nusd(conn, "overrun") == 5
    assert_books_are_right(conn)


def test_it_is_resolved_once(conn: Connection, unknown: Unknown) -> None:
    attempt_id, _ = unknown()
    resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=7), by="finance")

    with pytest.raises(NotUnknown, match="is failed"):
        resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=7), by="finance")

    assert total_nusd(conn, "waste") == 7


def test_who_knew_is_in_the_evidence(conn: Connection, unknown: Unknown) -> None:
    attempt_id, _ = unknown()

    resolve(conn, Resolution(attempt_id=attempt_id, cost_nusd=7), by="finance")

    [body] = conn.execute(text("SELECT body FROM evidence WHERE kind = 'resolution'")).scalars()
    assert '"by":"finance"' in body
    assert str(attempt_id) in body


def test_an_attempt_that_was_never_made_is_not_resolved(conn: Connection) -> None:
    with pytest.raises(NotUnknown, match="not in this database"):
        resolve(conn, Resolution(attempt_id=UUID(int=1), cost_nusd=7), by="finance")


def test_a_call_is_ended_once(conn: Connection, unknown: Unknown) -> None:
    attempt_id, _ = unknown()
    [started_at] = conn.execute(text("SELECT started_at FROM attempt")).scalars()

    late = Ended(
        id=str(attempt_id), started_at=started_at, state=AttemptState.SUCCEEDED, cost_nusd=7
    )
    assert end(conn, [late]) == 0
