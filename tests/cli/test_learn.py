"""`apportion learn` goes on beside the service, within its limits, and says what it left out."""

import json
import os
import subprocess
import sys

from sqlalchemy import create_engine, text

from scheduler.interpreter import BLAS_THREADS
from tests.cli.conftest import Run
from tests.planning.test_learning import answered

AT_IMPORT = """
import os, sys
found = []
def note(event, args):
    if event == "import" and args[0] == "numpy":
        found.append(os.environ.get("OPENBLAS_NUM_THREADS"))
sys.addaudithook(note)
from scheduler.cli.main import apportion
apportion.get_command(None, "learn")
print(found[0])
"""


def threads(**environ: str) -> str:
    """How many threads numpy finds that it may have, in a process that is about to learn."""
    clean = {name: value for name, value in os.environ.items() if name != BLAS_THREADS}
    command = [sys.executable, "-c", AT_IMPORT]
    told = subprocess.run(command, env=clean | environ, capture_output=True, check=True, text=True)
    return told.stdout.strip()


def test_learning_leaves_the_other_cores_to_the_service_unless_told_otherwise() -> None:
    assert threads() == "1"
    assert threads(**{BLAS_THREADS: "2"}) == "2"


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
