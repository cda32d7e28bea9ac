"""The fast check of a plan finds what the domain's slow one finds, for good plans and bad."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.plan import violations
from scheduler.optimise.verify import violations_in_columns
from tests.optimise.problems import random_problem


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 12), st.booleans())
def test_columns_and_single_jobs_tell_the_same_violations(
    seed: int, jobs: int, strict: bool
) -> None:
    rng = np.random.default_rng(seed)
    more = {}
    if strict:
        more = {
            "deferral_values": np.where(rng.random(jobs) < 0.5, -np.inf, 0).astype(np.float32),
            "min_quality": rng.random(jobs).astype(np.float32),
        }
    problem = random_problem(seed, jobs=jobs, options=3, rows=7, groups=3, **more)
    plan = rng.integers(-1, 3, jobs).astype(np.int32)

    assert violations_in_columns(problem, plan) == violations(problem, plan.tolist())
