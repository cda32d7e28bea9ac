"""The catalog in the tables: what is listed is on, prices are history, and plans see today's."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from scheduler.domain.listing import Listing, PriceSource
from scheduler.store.offers import UNLISTED, plan_offers, sync_catalog
from tests.planning.queued import CHEAP, FREE, GOOD, listing, rows


def dearer(one: Listing, *, pusd: int) -> Listing:
    """*one* at another price per input token."""
    seal = PriceSource(source="test", since=None, digest=pusd.to_bytes(32, "big"))
    return replace(one, offer=replace(one.offer, input_price=pusd), price=seal)


def names(conn: Connection) -> list[str]:
    return [one.offer.name for one in plan_offers(conn)]


def test_a_plan_sees_an_offer_as_the_catalog_lists_it(conn: Connection) -> None:
    one = listing("x/model", region="eu", certificates=["hipaa", "soc2"])
    sync_catalog(conn, [one])

    [found] = plan_offers(conn)

    assert found.offer == one.offer
    assert found.tasks == one.tasks
    assert found.quality_prior_ppm == {str(task): 800_000 for task in one.tasks}
    assert found.pace_s == one.pace_s
    assert found.price_digest == one.price.digest  # type: ignore[union-attr]
    assert found.resting_until is None


def test_the_same_catalog_again_changes_nothing(conn: Connection) -> None:
    sync_catalog(conn, [CHEAP, GOOD])
    state = "SELECT array_agg(o::text ORDER BY id), (SELECT count(*) FROM price) FROM offer o"
    before = rows(conn, state)
    conn.commit()

    sync_catalog(conn, [CHEAP, GOOD])

    assert rows(conn, state) == before


def test_a_changed_price_is_a_new_row_and_the_old_one_stays(conn: Connection) -> None:
    sync_catalog(conn, [CHEAP])
    conn.commit()
    sync_catalog(conn, [dearer(CHEAP, pusd=7)])

    prices = [row.input_pusd for row in rows(conn, "SELECT * FROM price ORDER BY effective_from")]
    assert prices == [CHEAP.offer.input_price, 7]
    [found] = plan_offers(conn)
    assert found.offer.input_price == 7


def test_a_price_that_comes_back_is_a_third_row(conn: Connection) -> None:
    for one in (CHEAP, dearer(CHEAP, pusd=7), CHEAP):
        sync_catalog(conn, [one])
        conn.commit()

    assert len(rows(conn, "SELECT FROM price")) == 3
    assert plan_offers(conn)[0].offer.input_price == CHEAP.offer.input_price


def test_a_price_of_the_future_is_not_todays(conn: Connection) -> None:
    sync_catalog(conn, [CHEAP])
    conn.execute(
        text(
            "INSERT INTO price (offer_id, input_pusd, output_pusd, source, digest, effective_from)"
            " SELECT id, 1, 1, 'x', '', now() + interval '1 day' FROM offer"
        )
    )

    assert plan_offers(conn)[0].offer.input_price == CHEAP.offer.input_price


def test_an_offer_that_is_off_says_why_and_is_in_no_plan(conn: Connection) -> None:
    sync_catalog(conn, [CHEAP, replace(GOOD, off_reason="set ACME_API_KEY")])

    assert names(conn) == [CHEAP.offer.name]
    [off] = rows(conn, "SELECT off_reason FROM offer WHERE NOT is_on")
    assert off.off_reason == "set ACME_API_KEY"

    sync_catalog(conn, [CHEAP, GOOD])
    assert names(conn) == sorted([CHEAP.offer.name, GOOD.offer.name])


def test_an_offer_that_is_no_longer_listed_is_turned_off_and_kept(conn: Connection) -> None:
    sync_catalog(conn, [CHEAP, GOOD])
    sync_catalog(conn, [GOOD])

    assert names(conn) == [GOOD.offer.name]
    [off] = rows(conn, "SELECT name, off_reason FROM offer WHERE NOT is_on")
    assert (off.name, off.off_reason) == (CHEAP.offer.name, UNLISTED)


def test_without_a_price_there_is_no_price_row_and_no_plan(conn: Connection) -> None:
    unpriced = replace(CHEAP, price=None, off_reason="no price is known")
    sync_catalog(conn, [unpriced])

    assert rows(conn, "SELECT FROM price") == []
    # Even if it were on: no price, no call.
    sync_catalog(conn, [replace(unpriced, off_reason=None)])
    assert names(conn) == []


def test_a_change_is_dated_and_no_change_is_not(conn: Connection) -> None:
    def changed_at() -> datetime:
        at: datetime = rows(conn, "SELECT updated_at FROM offer")[0].updated_at
        conn.commit()
        return at

    sync_catalog(conn, [CHEAP])
    first = changed_at()
    sync_catalog(conn, [CHEAP])
    assert changed_at() == first
    sync_catalog(conn, [dearer(CHEAP, pusd=7)])
    second = changed_at()
    assert second > first
    moved = replace(CHEAP, offer=replace(dearer(CHEAP, pusd=7).offer, context_limit=5))
    sync_catalog(conn, [replace(moved, price=dearer(CHEAP, pusd=7).price)])
    assert changed_at() > second


def test_a_plan_sees_until_when_an_offer_rests(conn: Connection) -> None:
    sync_catalog(conn, [CHEAP, FREE])
    conn.execute(
        text(
            "INSERT INTO breaker (offer_id, failures, resting_until)"
            " SELECT id, 5, now() + CASE name WHEN :name THEN interval '1 min'"
            " ELSE -interval '1 min' END FROM offer"
        ),
        {"name": CHEAP.offer.name},
    )

    resting, awake = plan_offers(conn)
    [now] = rows(conn, "SELECT now()")
    assert resting.resting_until == now.now + timedelta(minutes=1)
    assert awake.resting_until is None
