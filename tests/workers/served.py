"""Real worker processes against the real sandbox, and bells for them."""

import json
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import Engine
from sqlalchemy.exc import SADeprecationWarning

from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import load_catalog
from scheduler.domain.listing import Listing
from scheduler.domain.policy import PlanPolicy
from scheduler.planning.bells import BrokerAway, Ringer, ring_due
from workers.sandbox.bill import read_rows
from workers.sandbox.process import SandboxProcess, sandbox_process


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A sandbox, and how workers find it and the database."""

    engine: Engine
    database_url: str
    sandbox: SandboxProcess

    def environ(self, **policy: float) -> dict[str, str]:
        figures = {"flush_s": 0.05, "stop_s": 5.0, "claim_s": 2.0} | policy
        return {
            "APPORTION_DATABASE_URL": self.database_url,
            "APPORTION_SANDBOX_URL": self.sandbox.url,
            "APPORTION_POLICY": json.dumps({"work": figures}),
        }

    def listings(self, *names: str) -> list[Listing]:
        """The sandbox's offers called *names*, in that order."""
        found = offers_on(
            load_catalog(None),
            today=datetime.now(UTC).date(),
            environ={"APPORTION_SANDBOX_URL": self.sandbox.url},
        )
        by_name = {one.offer.name: one for one in found}
        return [by_name[name] for name in names]

    def ring(self) -> int:
        """Ring for every parcel that is due, as the relay does: those it cannot, it will later."""
        app = Celery(broker=f"sqla+{self.database_url}", set_as_current=False)
        with warnings.catch_warnings(), Ringer(app) as ringer:
            # kombu's transport declares a relation in a way that SQLAlchemy will drop.
            warnings.simplefilter("ignore", SADeprecationWarning)
            try:
                return ring_due(self.engine, ringer, policy=PlanPolicy(ring_s=1.0))
            except BrokerAway:
                # A connection that kombu kept was cut since, with Postgres; it makes another.
                return 0

    def faults(self, *rules: dict[str, Any]) -> None:
        """Put a script of faults into the sandbox."""
        request = urllib.request.Request(
            f"{self.sandbox.admin}/faults",
            data=json.dumps({"rules": list(rules)}).encode(),
            method="PUT",
        )
        with urllib.request.urlopen(request) as response:
            assert response.status == 200

    def bill(self) -> list[dict[str, Any]]:
        """What the sandbox billed, a row per call."""
        return read_rows(self.sandbox.bill)


@contextmanager
def scene(
    engine: Engine, database_url: str, home: Path, *, options: Sequence[str] = ()
) -> Iterator[Scene]:
    """A sandbox that is started with *options*, for as long as the block runs."""
    with sandbox_process(bill=home / "bill.jsonl", options=tuple(options)) as sandbox:
        yield Scene(engine=engine, database_url=database_url, sandbox=sandbox)
