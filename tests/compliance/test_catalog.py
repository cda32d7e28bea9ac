"""What may be called, and at which price, is a decision too: it changes with a record, or shows."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from scheduler.compliance.verification import verify
from scheduler.store.catalog_records import STREAM
from scheduler.store.evidence import records
from scheduler.store.migrate import upgrade
from scheduler.store.offers import UNLISTED, sync_catalog
from tests.compliance.tampering import tamper
from tests.planning.queued import CHEAP, GOOD
from tests.store.test_migrations import to
from tests.store.test_offers import dearer

CHECK = "offers and prices against their records"


def told(conn: Connection) -> list[tuple[str, dict[str, Any]]]:
    return [(one.kind, json.loads(one.body)) for one, _ in records(conn, stream=STREAM)]


def faults(conn: Connection) -> list[str]:
    found = verify(conn).findings
    assert {one.check for one in found} <= {CHECK}
    return [f"{one.where}: {one.what}" for one in found]


@pytest.fixture
def listed(conn: Connection) -> Connection:
    sync_catalog(conn, [CHEAP, GOOD])
    return conn


def test_each_change_of_an_offer_and_each_price_has_a_record(listed: Connection) -> None:
    before = len(told(listed))
    sync_catalog(listed, [replace(CHEAP, off_reason="set ACME_API_KEY")])

    off = {body["name"]: body["off_reason"] for _, body in told(listed)[before:]}
    assert [kind for kind, _ in told(listed)[:before]] == ["offer", "offer", "price", "price"]
    assert off == {CHEAP.offer.name: "set ACME_API_KEY", GOOD.offer.name: UNLISTED}
    assert verify(listed).findings == ()


def test_a_record_of_a_price_has_its_figures_and_its_digest(listed: Connection) -> None:
    listed.commit()
    sync_catalog(listed, [dearer(CHEAP, pusd=7), GOOD])

    kind, price = told(listed)[-1]
    assert (kind, price["name"], price["input_pusd"]) == ("price", CHEAP.offer.name, 7)
    assert price["digest"] == (7).to_bytes(32, "big").hex()
    assert verify(listed).findings == ()


def test_a_catalog_that_says_the_same_leaves_no_record(listed: Connection) -> None:
    before = told(listed)

    sync_catalog(listed, [CHEAP, GOOD])

    assert told(listed) == before


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        (
            "UPDATE offer SET context_limit = 1 WHERE id = 1",
            f"offer {{}}: context_limit is 1, recorded as {CHEAP.offer.context_limit}",
        ),
        (
            "UPDATE offer SET is_on = false, off_reason = 'x' WHERE id = 1",
            "offer {}: is_on is false, recorded as true; off_reason is x, recorded as nothing",
        ),
        (
            "UPDATE price SET output_pusd = 1 WHERE id = 1",
            "price 1 of {}: output_pusd is 1, recorded as 400000",
        ),
        (
            "INSERT INTO price (offer_id, input_pusd, output_pusd, source, digest, effective_from)"
            " VALUES (1, 0, 0, 'mine', '', now() + interval '1 s')",
            "price 3 of {}: was put in: no record tells of it",
        ),
        ("DELETE FROM price WHERE id = 1", "price 1 of {}: is recorded, and its row is gone"),
    ],
)
def test_what_was_touched_in_the_database_is_named(
    listed: Connection, statement: str, wanted: str
) -> None:
    tamper(listed, statement)

    assert faults(listed) == [wanted.format(CHEAP.offer.name)]


@pytest.fixture
def old_engine(empty_database_url: str) -> Iterator[Engine]:
    """A database of the schema before the catalog had records, with two offers."""
    upgrade(empty_database_url)
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.connect() as conn:
        to(conn, "0015")
        sync_catalog(conn, [CHEAP, GOOD])
        conn.execute(text("SET session_replication_role = replica"))
        conn.execute(text("DELETE FROM evidence"))
        conn.execute(text("DELETE FROM evidence_head"))
        conn.commit()
    yield engine
    engine.dispose()


def test_a_catalog_from_before_records_were_kept_is_found_and_is_no_alarm(
    old_engine: Engine, empty_database_url: str
) -> None:
    upgrade(empty_database_url)

    with old_engine.connect() as conn:
        assert [body["found"] for _, body in told(conn)] == [True] * 4
        assert verify(conn).findings == ()
        tamper(conn, "UPDATE price SET output_pusd = 1 WHERE id = 1")
        assert faults(conn) == [
            f"price 1 of {CHEAP.offer.name}: output_pusd is 1, recorded as 400000"
        ]
