"""The service's parts, as `apportion serve` starts them."""

import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine, text

from scheduler.cli import parts
from scheduler.cli.context import open_service
from scheduler.cli.parts import run_parts
from scheduler.settings import read_settings
from tests.planning.queued import Wish, add_budget, add_jobs
from tests.rig.waiting import eventually
from tests.store.read_only import read_only

CATALOG = """\
providers:
  acme:
    protocol: openai
    base_url: http://127.0.0.1:1/v1
    requests_per_minute: 10
    tokens_per_minute: 1000
    concurrency: 2
    context_limit: 4000
    output_limit: 500
    offers:
      - model: {model}
        prices: [{{from: 2026-01-01, input_usd_per_million: 1, output_usd_per_million: 1}}]
"""
Log = list[MutableMapping[str, Any]]


@contextmanager
def running(part: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """*part* of the service at work, until the block ends; what it logs."""
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    settings, stop = read_settings(), threading.Event()
    with structlog.testing.capture_logs() as log, open_service(settings) as service:
        thread = threading.Thread(
            target=run_parts, args=([part], service, settings), kwargs={"stop": stop}
        )
        thread.start()
        try:
            yield log
            assert thread.is_alive()
        finally:
            stop.set()
            thread.join()


def told(log: Log, what: str) -> bool:
    return any(line.get("what") == what for line in log)


def offers(engine: Engine) -> set[str]:
    with engine.connect() as conn:
        return set(conn.execute(text("SELECT name FROM offer")).scalars())


_LAST_MONTH = text("""
    SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'ledger'::regclass
""")
_END_OTHERS = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
""")


def last_month(engine: Engine) -> str:
    """The ledger's partition for the month that is furthest ahead."""
    with engine.connect() as conn:
        return str(conn.execute(_LAST_MONTH).scalar_one())


def test_no_window_is_planned_before_the_catalog_is_there(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "AWAY_S", 0.01)
    with engine.begin() as conn:
        add_budget(conn, 10)
        add_jobs(conn, Wish())

    def plans() -> int:
        with engine.connect() as conn:
            return int(conn.execute(text("SELECT count(*) FROM plan")).scalar_one())

    with engine.connect() as held:
        held.execute(text("LOCK TABLE offer IN EXCLUSIVE MODE"))
        with running("planner", database_url, monkeypatch) as log:
            eventually(lambda: told(log, "the catalog"), what="the planner to wait")
            assert plans() == 0
            held.rollback()
            eventually(lambda: offers(engine), what="the catalog to be there")


def test_the_months_are_looked_after_again_when_the_database_lets_us(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "HOUSEKEEPING_S", 0.05)
    monkeypatch.setattr(parts, "AGAIN_S", 0.05)
    with running("rescue", database_url, monkeypatch) as log:
        last = last_month(engine)
        with read_only(engine):
            with engine.begin() as conn:
                conn.exec_driver_sql("SET TRANSACTION READ WRITE")
                conn.exec_driver_sql(f"DROP TABLE {last}")
                # Sessions that began before may still write.
                conn.execute(_END_OTHERS)
            eventually(lambda: told(log, "partitions"), what="the log to say so")
        eventually(lambda: last_month(engine) == last, what="the month to be there again")


def test_a_catalog_that_cannot_be_read_leaves_the_offers_that_stand(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG.format(model="one"))
    monkeypatch.setenv("APPORTION_CATALOG", str(catalog))
    monkeypatch.setattr(parts, "HOUSEKEEPING_S", 0.05)
    monkeypatch.setattr(parts, "AGAIN_S", 0.05)
    with running("planner", database_url, monkeypatch) as log:
        eventually(lambda: "acme/one" in offers(engine), what="the first offer")
        catalog.write_text("providers: {acme: {protocol")
        eventually(lambda: told(log, "the catalog"), what="the log to say so")
        assert "acme/one" in offers(engine)
        catalog.write_text(CATALOG.format(model="two"))
        eventually(lambda: "acme/two" in offers(engine), what="the second offer")
