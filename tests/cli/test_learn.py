"""`apportion learn` goes on beside the service, within its limits, and says what it left out."""

import json
import os
import subprocess
import sys

import pytest
from sqlalchemy import create_engine, text

from scheduler.interpreter import BLAS_THREADS
from tests.cli.conftest import Run
from tests.planning.test_learning import answered

THREADS = """
import os
from scheduler.cli.main import apportion
apportion.get_command(None, "learn")
print(len(os.listdir("/proc/self/task")))
"""


def threads(**environ: str) -> int:
    """How many threads a process has that is about to learn."""
    clean = {name: value for name, value in os.environ.items() if name != BLAS_THREADS}
    told = subprocess.run(
        [sys.executable, "-c", THREADS], env=clean | environ, capture_output=True, check=True
    )
    return int(told.stdout)


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/task") or len(os.sched_getaffinity(0)) < 2,
    reason="threads are counted on Linux, and there is one core",
)
def test_learning_leaves_the_other_cores_to_the_service_unless_told_otherwise() -> None:
    assert threads() < threads(**{BLAS_THREADS: "2"})


def test_what_was_left_out_is_told_with_the_limit_that_did_it(run: Run, database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as conn:
        answered(conn, 40, lambda number: float(number % 2))
    limits = json.dumps({"learn": {"outcomes_max": 30, "documents_max": 20}})

    told = run("learn", database=database_url, APPORTION_POLICY=limits)

    assert told.exit_code == 0
    assert "quality: 10 older outcomes were left out (learn.outcomes_max)" in told.stdout
    with engine.connect() as conn:
        body = conn.execute(text("SELECT body FROM evidence WHERE stream = 'learn' LIMIT 1"))
        left = json.loads(body.scalar_one())["documents_left_out"]
    engine.dispose()
    assert f"quality: {left} documents were not drawn (learn.documents_max)" in told.stdout
