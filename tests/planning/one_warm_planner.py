"""What a plan compiles after the warm-up: `python -m tests.planning.one_warm_planner URL`."""

import sys

from sqlalchemy import create_engine

from scheduler.optimise import kernels, moves
from scheduler.planning.planner import plan_window
from scheduler.planning.warming import warm_up
from scheduler.planning.window import WindowKind
from tests.planning.queued import NOON, TOPIC, policy


def compiled() -> set[tuple[str, str]]:
    return {
        (name, str(types))
        for module in (kernels, moves)
        for name, function in vars(module).items()
        for types in getattr(function, "signatures", ())
    }


if __name__ == "__main__":
    warm_up()
    before = compiled()
    plan_window(
        create_engine(sys.argv[1]),
        kind=WindowKind.CONTINUOUS,
        now=NOON,
        policy=policy(wave_jobs_min=1),
        results_topic=TOPIC,
        waves=True,
    )
    sys.stdout.write(f"{sorted(compiled() - before)}\n")
