"""The planner alone, as a process of its own: `python -m tests.planning.one_planner URL`."""

import sys
from threading import Event

from sqlalchemy import create_engine

from scheduler.planning.loop import run
from tests.planning.queued import TOPIC, policy

if __name__ == "__main__":
    engine = create_engine(sys.argv[1])
    run(engine, policy=policy(window_s=0.0, poll_s=0.05), results_topic=TOPIC, stop=Event())
