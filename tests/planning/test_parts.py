"""The service's parts, as `apportion serve` starts them."""

import threading

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from scheduler.cli.context import open_service
from scheduler.cli.parts import run_parts
from scheduler.settings import read_settings
from tests.planning.queued import Wish, add_budget, add_jobs


def test_no_window_is_planned_before_the_catalog_is_there(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin() as conn:
        add_budget(conn, 10)
        add_jobs(conn, Wish())
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    settings = read_settings()

    with open_service(settings) as service, engine.connect() as held:
        held.execute(text("LOCK TABLE offer IN EXCLUSIVE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            run_parts(["planner"], service, settings, stop=threading.Event())

    with engine.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM plan")).scalar_one() == 0
