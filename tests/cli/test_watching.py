"""What `apportion run` shows while it works."""

import io

from rich.console import Console
from sqlalchemy import Engine, text

from scheduler.cli.context import Service
from scheduler.cli.watching import watching
from scheduler.store.offers import sync_catalog
from scheduler.store.project_standing import standing
from scheduler.store.scopes import ensure_scope
from tests.planning.queued import CHEAP


def test_a_failing_offers_error_is_shown_as_it_was_said(engine: Engine, database_url: str) -> None:
    shown = shown_of(engine, database_url, asked=False)

    assert "fails (5 times in a row: 500: no [/INST] ?[2J[type=missing])" in shown


def test_an_offer_that_asked_for_a_pause_is_not_said_to_fail(
    engine: Engine, database_url: str
) -> None:
    shown = shown_of(engine, database_url, asked=True)

    assert "asks for a pause (until 12:30:00 UTC: 500: no" in shown
    assert "5 times" not in shown


def shown_of(engine: Engine, database_url: str, *, asked: bool) -> str:
    """What a run shows of an offer that is left alone."""
    with engine.begin() as conn:
        sync_catalog(conn, [CHEAP])
        conn.execute(
            text(
                "INSERT INTO breaker (offer_id, failures, is_asked, resting_until, last_error)"
                " SELECT id, 5, :asked, '2099-01-01T12:30:00Z', :said FROM offer"
            ),
            {"said": "500: no [/INST] \x1b[2J[type=missing]", "asked": asked},
        )
        now = standing(conn, project_id=ensure_scope(conn, "acme/legal/contracts").id)
    service = Service(engine=engine, database_url=database_url, broker_url="", embedded=False)
    shown = io.StringIO()

    with watching(Console(file=shown, width=200), service) as watcher:
        watcher.looked(now)

    return shown.getvalue()
