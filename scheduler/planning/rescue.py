"""Takes parcels from workers that are gone, so that others may do them."""

from threading import Event

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from scheduler.domain.policy import Policy
from scheduler.store.passing import first_line, is_passing
from scheduler.store.rescue import Rescued, rescue_parcels

LOG = structlog.get_logger("apportion.rescue")

PARCELS = 50
"""Parcels that are rescued in one transaction."""
WAIT_MOST_S = 30.0


def run(engine: Engine, *, policy: Policy, stop: Event) -> None:
    """Look for leases that ran out, a few times in a lease's length, until *stop*; blocks.

    Any number of processes may do this at once.
    """
    pause_s = policy.work.lease_s / 10
    wait_s = pause_s
    while not stop.is_set():
        try:
            rescue_all(engine)
            wait_s = pause_s
        except DBAPIError as error:
            if not is_passing(error):
                raise
            wait_s = min(2 * wait_s, WAIT_MOST_S)
            LOG.warning("rescue waits for Postgres", reason=first_line(error), wait_s=wait_s)
        stop.wait(wait_s)


def rescue_all(engine: Engine) -> Rescued:
    """Rescue every parcel whose lease has run out; what was done, added up."""
    total = Rescued()
    while True:
        with engine.begin() as conn:
            found = rescue_parcels(conn, limit=PARCELS)
        if found == Rescued():
            return total
        LOG.warning(
            "rescued parcels whose worker is gone",
            ready=found.ready,
            dead=found.dead,
            unknown_attempts=found.unknown_attempts,
            jobs_given_back=found.jobs_given_back,
        )
        total = total + found
