"""Compiled code is kept where that is possible, and a solve works where it is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOLVE = """
import numpy as np
from scheduler.optimise.problem import Problem, Row
from scheduler.optimise.solve import solve
problem = Problem(
    values=np.array([[0.5, 0.9]] * 3, np.float32),
    measures={"cost_nusd": np.array([[1, 3]] * 3)},
    rows=(Row(name="budget", measure="cost_nusd", limit=5),),
)
print(round(solve(problem, seed=0, time_limit_s=3_600.0).value, 6))
"""


def run_in_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which one process has kept what it compiled."""
    path = tmp_path_factory.mktemp("compiled")
    assert run_in_process(SOLVE, NUMBA_CACHE_DIR=str(path)).returncode == 0
    return path


def test_a_second_process_does_not_compile(kept: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.nbc")}

    assert run_in_process(SOLVE, NUMBA_CACHE_DIR=str(kept)).returncode == 0

    assert before
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*.nbc")} == before


def test_a_cache_cut_short_only_means_compiling_again(kept: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(kept, copy)
    index = next(copy.rglob("*.choose-*.nbi"))
    index.write_bytes(index.read_bytes()[:7])
    code = next(copy.rglob("*.start_charged-*.nbc"))
    code.write_bytes(code.read_bytes()[:100])

    again = run_in_process(SOLVE, NUMBA_CACHE_DIR=str(copy))

    assert (again.returncode, again.stdout.strip()) == (0, "1.9"), again.stderr


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")

    result = run_in_process(SOLVE, NUMBA_CACHE_DIR=str(blocked / "cache"))

    assert result.returncode == 0, result.stderr


def test_importing_the_solve_loads_neither_solver_nor_compiler() -> None:
    code = (
        "import sys, scheduler.optimise.solve, scheduler.optimise.verify;"
        "print([name for name in ('numba', 'ortools', 'matplotlib') if name in sys.modules])"
    )

    assert run_in_process(code).stdout.strip() == "[]"
