"""The relay alone, as a process of its own: `python -m tests.planning.one_relay URL`."""

import sys
from threading import Event

from celery import Celery
from sqlalchemy import create_engine

from scheduler.domain.policy import PlanPolicy
from scheduler.planning.bells import run

if __name__ == "__main__":
    engine = create_engine(sys.argv[1])
    app = Celery(broker=f"sqla+{sys.argv[1]}")
    run(engine, app, policy=PlanPolicy(poll_s=0.05), stop=Event())
