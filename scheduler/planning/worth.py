"""What an option is worth to the plan: its quality, or the dollars that it is expected to bring."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.job import Task
from scheduler.domain.money import NUSD_PER_USD, nusd_from_usd, usd_from_nusd
from scheduler.domain.policy import PlanObjective, PlanPolicy
from scheduler.estimate.value import break_even, earnings_usd, net_savings_usd
from scheduler.planning.estimates import CHUNK_JOBS, Estimates, cost_nusd
from scheduler.planning.options import PPM, Options
from scheduler.store.windows import TASKS, UNSAID, Window

Floats = NDArray[np.float64]
Jobs = NDArray[np.int64]

TINY = 1e-6
"""What is not divided by less than."""


def values(
    window: Window, options: Options, estimates: Estimates, *, policy: PlanPolicy
) -> NDArray[np.float32]:
    """(n, m) what the policy's objective makes of each option, before priorities.

    Dollars count quality at its lower bound and cost as it is expected, not as it is set aside.
    """
    if policy.objective is PlanObjective.QUALITY:
        return estimates.lower
    found = np.zeros((window.jobs, options.count), np.float32)
    for task in np.unique(window.task).tolist():
        of_task = np.flatnonzero(window.task == task)
        for start in range(0, len(of_task), CHUNK_JOBS):
            jobs = of_task[start : start + CHUNK_JOBS]
            p = estimates.lower[jobs].astype(np.float64)
            cost_usd = expected_cost_usd(options, estimates, jobs)
            found[jobs] = _dollars(window, jobs, p, cost_usd, policy=policy)
    return found


def weights(window: Window, *, policy: PlanPolicy) -> NDArray[np.float32]:
    """(n,) what a job's value counts: by priority, but a dollar is a dollar at any priority."""
    if policy.objective is PlanObjective.QUALITY:
        return priority_weights(window.priority)
    return np.ones(window.jobs, np.float32)


def priority_weights(priority: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n,) what a job's quality counts: 1 at priority 5, and twice that two steps higher."""
    return np.exp2((priority - 5) / 2).astype(np.float32)


def outcome_shares(p: Floats, *, edit_score: float, edited_ppm: int) -> Floats:
    """(..., 3) probabilities that an answer of quality *p* is used, edited, ignored.

    Quality is learned with 1 for a used answer, *edit_score* for an edited and 0 for an ignored
    one, so the three must give p back: `P_use + edit_score P_edit = p`.  That leaves one figure
    free, how many are edited: *edited_ppm* of as many as p allows.
    """
    used_up, ignored_up = p / max(edit_score, TINY), (1 - p) / max(1 - edit_score, TINY)
    edited = np.minimum(used_up, ignored_up) * edited_ppm / PPM
    used = p - edit_score * edited
    return np.stack([used, edited, 1 - used - edited], axis=-1)


def stakes_usd(window: Window, jobs: Jobs, *, policy: PlanPolicy) -> tuple[Floats, Floats]:
    """Gain and loss of each of *jobs*, (len(jobs),): its own, else those of its task."""
    gain = _said(window.gain_nusd[jobs], window.task[jobs], policy.gain_usd)
    return gain, _said(window.loss_nusd[jobs], window.task[jobs], policy.loss_usd)


def break_evens(
    window: Window, options: Options, estimates: Estimates, jobs: Jobs, *, policy: PlanPolicy
) -> Floats:
    """(len(jobs), m) how probable a good answer must be for `earnings` to be positive."""
    gain_usd, loss_usd = stakes_usd(window, jobs, policy=policy)
    cost_usd = expected_cost_usd(options, estimates, jobs)
    return break_even(gain_usd=gain_usd[:, None], loss_usd=loss_usd[:, None], cost_usd=cost_usd)


def _said(
    own_nusd: NDArray[np.int64], task: NDArray[np.int64], by_task: Mapping[str, str]
) -> Floats:
    # A judging has stakes of its own, and no figures of the policy's for its task.
    usual = np.array([_usd(by_task.get(name, "0")) for name in TASKS])
    return np.where(own_nusd == UNSAID, usual[task], own_nusd / NUSD_PER_USD)


def _dollars(
    window: Window, jobs: Jobs, p: Floats, cost_usd: Floats, *, policy: PlanPolicy
) -> Floats:
    task = TASKS[window.task[jobs[0]]]
    if policy.objective is PlanObjective.EARNINGS or task is Task.JUDGE:
        gain_usd, loss_usd = stakes_usd(window, jobs, policy=policy)
        return earnings_usd(
            p, gain_usd=gain_usd[:, None], loss_usd=loss_usd[:, None], cost_usd=cost_usd
        )
    assert policy.objective is PlanObjective.ENCS, policy.objective
    saved = policy.saved_s[task]
    return net_savings_usd(
        outcome_shares(p, edit_score=policy.edit_score, edited_ppm=policy.edited_ppm),
        seconds_saved=np.array([saved["use"], saved["edit"], saved["ignore"]]),
        wage_usd_per_hour=_usd(policy.wage_usd_per_hour),
        cost_usd=cost_usd,
    )


def _usd(amount: str) -> float:
    return float(usd_from_nusd(nusd_from_usd(amount)))


def expected_cost_usd(options: Options, estimates: Estimates, jobs: Jobs) -> Floats:
    """(len(jobs), m) what each option is expected to cost."""
    columns = [
        cost_nusd(
            options.offers[k].offer,
            estimates.input_tokens[jobs, option].astype(np.int64),
            estimates.output_tokens[jobs, option].astype(np.int64),
        )
        for option, k in enumerate(options.offer_of.tolist())
    ]
    return np.stack(columns, axis=1) / NUSD_PER_USD
