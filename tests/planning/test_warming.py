"""A planner that has warmed up compiles nothing more, whatever the first window is like."""

import subprocess
import sys

import pytest
from sqlalchemy import Engine

from tests.planning.queued import Wish
from tests.planning.test_exploring import queue


@pytest.mark.parametrize("usd", [0.05, 100], ids=["short of money", "money for all"])
@pytest.mark.parametrize("jobs", [1, 60])
def test_a_first_plan_finds_its_code_compiled(
    engine: Engine, database_url: str, jobs: int, usd: float
) -> None:
    queue(engine, *[Wish() for _ in range(jobs)], usd=usd)

    planner = subprocess.run(
        [sys.executable, "-m", "tests.planning.one_warm_planner", database_url],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (planner.stdout.strip(), planner.returncode) == ("[]", 0), planner.stderr
