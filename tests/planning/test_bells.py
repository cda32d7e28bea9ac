"""Bells: each waiting parcel's worker hears of it, through a real broker."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import structlog
from amqp.exceptions import AccessRefused
from celery import Celery
from sqlalchemy import Engine, text

from scheduler.domain.policy import PlanPolicy
from scheduler.planning.bells import BrokerAway, Ringer, ring_due, run
from tests.planning.queued import CHEAP, FREE, NOON, add_offers, rows
from tests.rig.process import ProcessHandle
from tests.rig.sessions import while_another_does

POLICY = PlanPolicy(ring_s=30.0, bells_max=3)
OURS, HOUSE = "apportion.acme-ai", "apportion.house"


@pytest.fixture
def app(database_url: str) -> Iterator[Celery]:
    """Celery over the test's own Postgres, as the embedded service has it."""
    app = Celery(broker=f"sqla+{database_url}", set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def parcels(engine: Engine) -> Engine:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, FREE)
        conn.execute(
            text(
                "INSERT INTO plan (window_kind, jobs, planned, deferred, value, bound, gap, passes,"
                " solve_s, seed, cost_nusd, reserved_nusd, rows, inputs, decisions_digest)"
                " VALUES ('asked', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '[]', '{}', '')"
            )
        )
    return engine


def add_parcel(engine: Engine, *, due_s: int = 0, offer: str = CHEAP.offer.name) -> int:
    with engine.begin() as conn:
        made: int = conn.execute(
            text(
                "INSERT INTO parcel (plan_id, offer_id, provider_id, jobs, attempt_limit, due_at)"
                " SELECT 1, id, provider_id, 1, 5, CAST(:noon AS timestamptz)"
                " + make_interval(secs => :due_s)"
                " FROM offer WHERE name = :offer RETURNING id"
            ),
            {"noon": NOON, "due_s": due_s, "offer": offer},
        ).scalar_one()
    return made


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as conn:
        conn.execute(text(statement))


def heard(app: Celery, queue: str) -> list[tuple[Any, ...]]:
    """What a worker of *queue* is told, all of it: (task, args)."""
    found = []
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.queue_declare(queue)
        while message := channel.basic_get(queue, no_ack=True):
            found.append((message.headers["task"], tuple(message.payload[0])))
    return found


def ring(engine: Engine, app: Celery, policy: PlanPolicy = POLICY) -> int:
    with Ringer(app) as ringer:
        return ring_due(engine, ringer, policy=policy)


def test_a_parcel_rings_at_its_own_provider_with_its_fence(parcels: Engine, app: Celery) -> None:
    ours, house = add_parcel(parcels), add_parcel(parcels, offer=FREE.offer.name)
    change(parcels, f"UPDATE parcel SET attempt = 2 WHERE id = {house}")

    assert ring(parcels, app) == 2

    assert heard(app, OURS) == [("apportion.work", (ours, 0))]
    assert heard(app, HOUSE) == [("apportion.work", (house, 2))]


def test_a_bell_is_not_rung_again_at_once_and_a_lost_one_is(parcels: Engine, app: Celery) -> None:
    parcel = add_parcel(parcels)
    assert ring(parcels, app) == 1
    assert ring(parcels, app) == 0
    assert len(heard(app, OURS)) == 1  # and say that it was lost

    change(parcels, "UPDATE parcel SET ring_at = ring_at - interval '30 seconds'")
    assert ring(parcels, app) == 1
    assert heard(app, OURS) == [("apportion.work", (parcel, 0))]


def test_a_bell_that_meets_a_worker_adding_its_queue_stays_due(
    parcels: Engine, app: Celery
) -> None:
    add_parcel(parcels)
    assert ring(parcels, app) == 1
    change(parcels, "DELETE FROM kombu_message")
    change(parcels, "DELETE FROM kombu_queue")
    parcel = add_parcel(parcels)

    def rung() -> None:
        with pytest.raises(BrokerAway):
            ring(parcels, app)

    while_another_does(parcels, f"INSERT INTO kombu_queue VALUES (99, '{OURS}')", rung)

    assert ring(parcels, app) == 1
    assert heard(app, OURS) == [("apportion.work", (parcel, 0))]


def test_what_somebody_has_taken_or_done_does_not_ring(parcels: Engine, app: Celery) -> None:
    for _ in range(3):
        add_parcel(parcels)
    change(
        parcels,
        "UPDATE parcel SET state = 'running', held_by = 'w', lease_expires_at = now() WHERE id = 1",
    )
    change(parcels, "UPDATE parcel SET state = 'done' WHERE id = 2")
    change(parcels, "UPDATE parcel SET not_before = now() + interval '1 hour' WHERE id = 3")

    assert ring(parcels, app) == 0


def test_only_so_many_bells_are_out_and_the_urgent_ones_first(parcels: Engine, app: Celery) -> None:
    late, soon, sooner, last = (add_parcel(parcels, due_s=due_s) for due_s in (30, 20, 10, 40))
    house = add_parcel(parcels, offer=FREE.offer.name)

    assert ring(parcels, app) == 4
    assert [args[0] for _, args in heard(app, OURS)] == [sooner, soon, late]
    assert [args[0] for _, args in heard(app, HOUSE)] == [house]

    change(parcels, f"UPDATE parcel SET state = 'done' WHERE id = {soon}")
    assert ring(parcels, app) == 1
    assert [args[0] for _, args in heard(app, OURS)] == [last]


def test_a_parcel_leased_while_it_was_rung_for_is_left_as_it_is(
    parcels: Engine, app: Celery
) -> None:
    add_parcel(parcels)

    class Taken(Ringer):
        """A worker that is there before the relay has made its mark."""

        def ring(self, bell: Any) -> None:
            super().ring(bell)
            change(parcels, "UPDATE parcel SET attempt = 1, ring_at = '2020-01-01'")

    with Taken(app) as ringer:
        ring_due(parcels, ringer, policy=POLICY)

    with parcels.connect() as conn:
        [parcel] = rows(conn, "SELECT ring_at FROM parcel")
    assert parcel.ring_at.year == 2020


def test_no_row_is_locked_while_the_broker_is_spoken_to(parcels: Engine, app: Celery) -> None:
    add_parcel(parcels)

    class Watched(Ringer):
        def ring(self, bell: Any) -> None:
            with parcels.begin() as conn:
                [row] = rows(conn, "SELECT id FROM parcel FOR UPDATE NOWAIT")
                assert row.id == bell.parcel_id
            super().ring(bell)

    with Watched(app) as ringer:
        assert ring_due(parcels, ringer, policy=POLICY) == 1


def test_a_broker_that_is_away_is_named_and_the_bell_stays_due(
    parcels: Engine, app: Celery
) -> None:
    add_parcel(parcels)
    nowhere = Celery(broker="amqp://guest:secret@127.0.0.1:1//", set_as_current=False)

    with pytest.raises(BrokerAway, match="APPORTION_BROKER_URL") as away:
        ring(parcels, nowhere)

    assert "secret" not in str(away.value)
    assert ring(parcels, app) == 1


def test_a_login_that_the_broker_refuses_is_waited_out(parcels: Engine) -> None:
    add_parcel(parcels)

    class Refusing(Ringer):
        """Its broker closes every connection as RabbitMQ does where the password is wrong."""

        def _ready(self) -> Any:
            self._connection = self._app.connection_for_write()
            raise AccessRefused("Login was refused")

    app = Celery(broker="amqp://guest:secret@127.0.0.1:1//", set_as_current=False)
    with Refusing(app) as ringer, pytest.raises(BrokerAway, match="Login was refused"):
        ring_due(parcels, ringer, policy=POLICY)


def test_the_relay_waits_for_its_broker_and_says_so(parcels: Engine) -> None:
    add_parcel(parcels)
    nowhere = Celery(broker="amqp://guest:secret@127.0.0.1:1//", set_as_current=False)

    class StopsSoon(Event):
        """Set when it has been waited for three times; waits not at all."""

        waits: list[float]

        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            if len(waits) == 3:
                self.set()
            return True

    waits: list[float] = []
    with structlog.testing.capture_logs() as logs:
        run(parcels, nowhere, policy=PlanPolicy(poll_s=0.1), stop=StopsSoon())

    assert waits == [0.2, 0.4, 0.8]
    assert [line["event"] for line in logs] == ["relay waits"] * 3
    assert "secret" not in str(logs)


def test_a_relay_killed_before_its_mark_rings_twice_and_nothing_is_lost(
    parcels: Engine, app: Celery, database_url: str, tmp_path: Path
) -> None:
    parcel = add_parcel(parcels)
    ring(parcels, app)  # makes the broker's tables
    heard(app, OURS)
    change(parcels, "UPDATE parcel SET ring_at = '2020-01-01'")

    with parcels.begin() as door:
        # The mark waits for this row; the bell before it does not.
        door.execute(text("SELECT id FROM parcel FOR UPDATE"))
        relay = ProcessHandle.python(
            "tests.planning.one_relay", database_url, log=tmp_path / "relay.log"
        )
        first = relay.wait_for(lambda: heard(app, OURS), what="the bell")
        relay.kill()

    assert ring(parcels, app) == 1
    assert first == heard(app, OURS) == [("apportion.work", (parcel, 0))]
