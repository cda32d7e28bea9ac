"""Which options a job may have, and, where it may have none, why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.job import DataClass
from scheduler.domain.offer import Lane
from scheduler.domain.policy import PlanPolicy
from scheduler.planning import reasons
from scheduler.planning.estimates import CHUNK_JOBS, COST_LIMIT_NUSD, Estimates
from scheduler.planning.options import PPM, Options
from scheduler.store.windows import DATA_CLASSES, NO_DEADLINE, NO_MAX_COST, Window

ALLOWED = -1
"""The rule of a job that some option is left for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules are judged by.

    Attributes:
        budgeted: (n,) bool, whether a budget covers the job's project today.
        project_paths: by project's id.
    """

    window: Window
    options: Options
    estimates: Estimates
    policy: PlanPolicy
    now: datetime
    budgeted: NDArray[np.bool_]
    project_paths: Mapping[int, str]

    def part(self, jobs: slice) -> "Facts":
        """The facts of the *jobs* alone."""
        return replace(
            self,
            window=self.window.part(jobs),
            estimates=self.estimates.part(jobs),
            budgeted=self.budgeted[jobs],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        allows: (n, m) bool, or what broadcasts to it.
        reason: why a job has nothing left once this rule holds, given the job's number and the
            options (m,) that the rules before it left.
        passing: whether it may be different later without anyone doing anything.
    """

    name: str
    allows: Callable[[Facts], NDArray[np.bool_]]
    reason: Callable[[Facts, int, NDArray[np.bool_]], str]
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the rules leave.

    Attributes:
        eligible: (n, m) bool.
        rule: (n,) int64, index into `RULES` of the rule that left the job nothing, or `ALLOWED`.
        reasons: the same in words, by job's number.
    """

    eligible: NDArray[np.bool_]
    rule: NDArray[np.int64]
    reasons: dict[int, str]


def allowed_options(facts: Facts) -> Allowed:
    """Apply all rules; the first that leaves a job nothing is its reason."""
    jobs = facts.window.jobs
    whole = Allowed(
        eligible=np.ones((jobs, facts.options.count), np.bool_),
        rule=np.full(jobs, ALLOWED),
        reasons={},
    )
    # In parts: what the rules compute on the way is several times as large as what they leave.
    for start in range(0, jobs, CHUNK_JOBS):
        here = slice(start, start + CHUNK_JOBS)
        part = _judged(facts.part(here))
        whole.eligible[here], whole.rule[here] = part.eligible, part.rule
        whole.reasons.update({start + job: said for job, said in part.reasons.items()})
    return whole


def _judged(facts: Facts) -> Allowed:
    eligible = np.ones((facts.window.jobs, facts.options.count), np.bool_)
    rule = np.full(facts.window.jobs, ALLOWED)
    words: dict[int, str] = {}
    for at, one in enumerate(RULES):
        left = eligible & one.allows(facts)
        emptied = np.flatnonzero((rule == ALLOWED) & ~left.any(1))
        rule[emptied] = at
        for job in emptied.tolist():
            words[job] = one.reason(facts, job, eligible[job])
        eligible = left
    return Allowed(eligible=eligible, rule=rule, reasons=words)


def in_region(region: str, place: str) -> bool:
    """Whether an offer's *region* lies in *place*: `eu` holds `eu` and `eu-west-1`.

    An offer that does not say where it is lies nowhere.
    """
    region, place = region.lower(), place.lower()
    return region == place or region.startswith(f"{place}-")


def _takes_task(facts: Facts) -> NDArray[np.bool_]:
    return (facts.options.quality_kept > 0)[facts.window.task]


def _no_judge_of_its_own(facts: Facts) -> NDArray[np.bool_]:
    ids = np.array([one.id for one in facts.options.offers], np.int64)
    return np.asarray(ids[facts.options.offer_of] != facts.window.judged_offer[:, None])


def _in_residency(facts: Facts) -> NDArray[np.bool_]:
    regions = [one.offer.region for one in facts.options.offers]
    table = [
        [not place or any(in_region(region, one) for one in place) for region in regions]
        for place in facts.window.places
    ]
    return _by_option(facts, table)[facts.window.place]


def _takes_class(facts: Facts) -> NDArray[np.bool_]:
    table = [
        [_may_see(one.offer.lane, one.offer.certificates, data_class, facts.policy)
         for one in facts.options.offers]
        for data_class in DATA_CLASSES
    ]  # fmt: skip
    return _by_option(facts, table)[facts.window.data_class]


def _may_see(
    lane: Lane, certificates: frozenset[str], data_class: DataClass, policy: PlanPolicy
) -> bool:
    needed = policy.certificates.get(data_class, ())
    return not needed or lane is Lane.INHOUSE or not certificates.isdisjoint(needed)


def _fits_context(facts: Facts) -> NDArray[np.bool_]:
    tokens = facts.estimates.input_most.astype(np.int64) + facts.estimates.output_limit
    return np.asarray(tokens <= _context_limits(facts))


def _context_limits(facts: Facts) -> NDArray[np.int64]:
    """(m,) tokens that each option's offer can take."""
    limits = np.array([one.offer.context_limit for one in facts.options.offers], np.int64)
    return np.asarray(limits[facts.options.offer_of])


def _in_time(facts: Facts) -> NDArray[np.bool_]:
    """In time for the deadline; and a job for now does not wait for a batch without one."""
    window, policy = facts.window, facts.policy
    left_s = (window.due_us - facts.now.timestamp() * 1e6) / 1e6
    in_batch = np.array([one.offer.lane is Lane.BATCH for one in facts.options.offers], np.bool_)
    batches = in_batch[facts.options.offer_of]
    needed_s = np.where(batches, policy.batch_s, facts.estimates.seconds)
    patient = window.night | (window.due_us != NO_DEADLINE)
    in_time = needed_s <= left_s[:, None]
    return np.asarray(in_time & (patient[:, None] | ~batches))


def _good_enough(facts: Facts) -> NDArray[np.bool_]:
    lower_ppm = np.rint(facts.estimates.lower.astype(np.float64) * PPM)
    return np.asarray(lower_ppm >= facts.window.min_quality_ppm[:, None])


def _cheap_enough(facts: Facts) -> NDArray[np.bool_]:
    window, needed_nusd = facts.window, facts.estimates.reserved_nusd
    # A subtraction: the sum with a limit that is not there would run over.
    left_nusd = np.where(
        window.max_cost_nusd == NO_MAX_COST,
        COST_LIMIT_NUSD - 1,
        np.minimum(window.max_cost_nusd - window.used_nusd, COST_LIMIT_NUSD - 1),
    )
    return np.asarray(needed_nusd <= left_nusd[:, None])


def _paid_for(facts: Facts) -> NDArray[np.bool_]:
    free = facts.estimates.reserved_nusd == 0
    return np.asarray(facts.budgeted[:, None] | free)


def _awake(facts: Facts) -> NDArray[np.bool_]:
    awake = [not one.rests(facts.now) for one in facts.options.offers]
    return np.array(awake, np.bool_)[facts.options.offer_of][None, :]


def _by_option(facts: Facts, table: Sequence[Sequence[bool]]) -> NDArray[np.bool_]:
    """(rows, m) of a table whose columns are offers."""
    known = np.array(table, np.bool_).reshape(len(table), len(facts.options.offers))
    return known[:, facts.options.offer_of]


def _no_task(facts: Facts, job: int, _left: NDArray[np.bool_]) -> str:
    return reasons.no_task(facts.window, job)


def _no_other_judge(_facts: Facts, _job: int, _left: NDArray[np.bool_]) -> str:
    return reasons.NO_OTHER_JUDGE


def _no_region(facts: Facts, job: int, _left: NDArray[np.bool_]) -> str:
    return reasons.no_region(facts.window, job)


def _no_class(facts: Facts, job: int, _left: NDArray[np.bool_]) -> str:
    return reasons.no_class(facts.window, job, facts.policy)


def _no_context(facts: Facts, job: int, left: NDArray[np.bool_]) -> str:
    needed = facts.estimates.input_most[job].astype(np.int64) + facts.estimates.output_limit[job]
    return reasons.no_context(
        needed=int(needed[left].min()), most=int(_context_limits(facts)[left].max())
    )


def _no_time(facts: Facts, job: int, left: NDArray[np.bool_]) -> str:
    return reasons.no_time(facts.window, job, now=facts.now, only_batch=_only_batch(facts, left))


def _only_batch(facts: Facts, left: NDArray[np.bool_]) -> bool:
    lanes = {facts.options.offers[k].offer.lane for k in facts.options.offer_of[left].tolist()}
    return lanes == {Lane.BATCH}


def _no_quality(facts: Facts, job: int, left: NDArray[np.bool_]) -> str:
    return reasons.no_quality(facts.window, job, best=float(facts.estimates.lower[job][left].max()))


def _no_cheap(facts: Facts, job: int, left: NDArray[np.bool_]) -> str:
    return reasons.no_cheap(
        facts.window, job, cheapest_nusd=int(facts.estimates.reserved_nusd[job][left].min())
    )


def _no_budget(facts: Facts, job: int, _left: NDArray[np.bool_]) -> str:
    path = facts.project_paths[int(facts.window.project_id[job])]
    return reasons.no_budget(path, facts.now.date())


def _no_awake(facts: Facts, _job: int, left: NDArray[np.bool_]) -> str:
    resting = {
        one.offer.name: one.resting_until
        for one in (facts.options.offers[k] for k in set(facts.options.offer_of[left].tolist()))
        if one.resting_until is not None
    }
    return reasons.all_rest(resting)


# In this order: what is wrong for good comes first, and what a moment may mend comes last.
RULES = (
    Rule(name="task", allows=_takes_task, reason=_no_task),
    Rule(name="judge", allows=_no_judge_of_its_own, reason=_no_other_judge),
    Rule(name="residency", allows=_in_residency, reason=_no_region),
    Rule(name="data class", allows=_takes_class, reason=_no_class),
    Rule(name="context", allows=_fits_context, reason=_no_context),
    Rule(name="quality", allows=_good_enough, reason=_no_quality),
    Rule(name="most it may cost", allows=_cheap_enough, reason=_no_cheap),
    Rule(name="time", allows=_in_time, reason=_no_time),
    Rule(name="budget", allows=_paid_for, reason=_no_budget),
    Rule(name="breaker", allows=_awake, reason=_no_awake, passing=True),
)
