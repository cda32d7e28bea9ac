"""A window as a problem for the solve: values, reserved money, tokens, limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import Row
from scheduler.domain.policy import PlanPolicy
from scheduler.optimise.problem import Problem
from scheduler.planning import worth
from scheduler.planning.estimates import Estimates, Estimators, estimate
from scheduler.planning.limits import (
    COST,
    REQUESTS,
    TOKENS,
    Fund,
    budgeted,
    capacity_rows,
    funds,
)
from scheduler.planning.masks import Allowed, Facts, allowed_options
from scheduler.planning.options import Options, make_options
from scheduler.planning.reading import Reading
from scheduler.store.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A window made ready to be solved.

    Attributes:
        projects: paths, by group.
        groups: (n,) int32, each job's project.
        funds: the budgets that bear any of the jobs.
        problem: what the solve is given; its money is what is reserved, not what is expected.
        held: (n,) bool, the jobs that are planned, and committed by a later plan only; None
            where no job is.
    """

    reading: Reading
    options: Options
    estimates: Estimates
    allowed: Allowed
    projects: tuple[str, ...]
    groups: NDArray[np.int32]
    funds: tuple[Fund, ...]
    problem: Problem
    now: datetime
    held: NDArray[np.bool_] | None = None

    @property
    def window(self) -> Window:
        return self.reading.window


def make_case(
    reading: Reading, *, estimators: Estimators, policy: PlanPolicy, horizon_s: float, now: datetime
) -> Case:
    """Everything that the solve is asked, from what was read."""
    assert now.tzinfo is UTC, now
    window, options = reading.window, make_options(reading.offers, policy)
    estimates = estimate(window, options, estimators=estimators, policy=policy)
    ids, groups = np.unique(window.project_id, return_inverse=True)
    projects = tuple(reading.project_paths[project_id] for project_id in ids.tolist())
    bearing = funds(reading.budgets, projects)
    facts = Facts(
        window=window,
        options=options,
        estimates=estimates,
        policy=policy,
        now=now,
        budgeted=np.array(budgeted(reading.budgets, projects), np.bool_)[groups],
        project_paths=reading.project_paths,
    )
    allowed = allowed_options(facts)
    capacity = capacity_rows(options, reading.undone, horizon_s=horizon_s)
    rows = [one.row for one in bearing] + _that_may_bind(capacity, estimates, allowed)
    return Case(
        reading=reading,
        options=options,
        estimates=estimates,
        allowed=allowed,
        projects=projects,
        groups=groups.astype(np.int32),
        funds=tuple(bearing),
        problem=Problem(
            values=worth.values(window, options, estimates, policy=policy),
            measures={COST: estimates.reserved_nusd, TOKENS: _tokens(estimates)},
            groups=groups.astype(np.int32),
            rows=tuple(rows),
            eligible=allowed.eligible,
            weights=worth.weights(window, policy=policy),
        ),
        now=now,
    )


def _tokens(estimates: Estimates) -> NDArray[np.int32]:
    """(n, m) what a call is counted with against a rate limit: as much as it may use."""
    return estimates.input_most + estimates.output_limit


def _that_may_bind(rows: Sequence[Row], estimates: Estimates, allowed: Allowed) -> list[Row]:
    """The *rows* that the window could reach; the rest would only cost the solver time."""
    jobs = allowed.eligible.shape[0]
    most = np.where(allowed.eligible, _tokens(estimates), 0).max(0, initial=0).astype(np.int64)
    kept = []
    for row in rows:
        assert row.options is not None, row
        reach = jobs if row.measure == REQUESTS else jobs * int(most[list(row.options)].max())
        if row.limit < reach:
            kept.append(row)
    return kept
