"""Plans windows: read, estimate, solve, check, write; one planner at a time."""

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Engine

from scheduler.domain.errors import Broken, Overtaken, Unavailable
from scheduler.domain.evidence import canonical
from scheduler.domain.listing import Listing
from scheduler.domain.policy import Policy
from scheduler.estimate.embedding import Embedder
from scheduler.optimise.result import Result, Status
from scheduler.optimise.solve import solve
from scheduler.planning.alternatives import next_best
from scheduler.planning.carry import left_out
from scheduler.planning.check import check_plan
from scheduler.planning.commit import Draft, commit
from scheduler.planning.decisions import chosen_of, decision_rows, pack
from scheduler.planning.embedding import Begin, embed_queued, vectors_of
from scheduler.planning.estimates import Estimators, load_estimators
from scheduler.planning.exploring import explored
from scheduler.planning.night import next_night
from scheduler.planning.outcome import PlanOutcome, outcome_of
from scheduler.planning.problem import Case, make_case
from scheduler.planning.reading import Reading, read
from scheduler.planning.waves import committed, in_waves
from scheduler.planning.window import Span, WindowKind, span
from scheduler.store.connect import snapshot
from scheduler.store.locks import Duty, on_duty
from scheduler.store.offers import sync_catalog

logger = structlog.get_logger(__name__)


class PlannerBusy(Unavailable):
    """Another process is planning."""

    def __init__(self, *, waited_s: float) -> None:
        super().__init__(
            f"another planner was at work for {waited_s:g} seconds; try again, or let it plan"
        )
        self.waited_s = waited_s


class NoPlan(Broken):
    """The solve found no plan, though leaving every job for later is always one."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"the solve ended {status} for a window that can always be put off")
        self.status = status


def plan_window(
    engine: Engine,
    *,
    kind: WindowKind,
    now: datetime,
    policy: Policy,
    results_topic: str,
    wait_s: float = 30.0,
    waves: bool = False,
    embedder: Embedder | None = None,
) -> PlanOutcome | None:
    """Plan the jobs that a window of *kind* has at *now* (UTC), and write the plan.

    With an *embedder*, documents that lack its vectors are embedded first, for a while.

    With *waves* a part of the jobs may be held back until money comes back; the caller plans
    again when the others are settled.

    None when there are none.  When the world moves meanwhile, the plan is made again.

    Raises:
        PlannerBusy: another process was planning all of *wait_s*.
        Overtaken: the world moved at every one of the policy's tries.
    """
    if embedder is not None:
        _embed(engine.begin, embedder, kind=kind, now=now, policy=policy)
    with on_duty(engine, Duty.PLANNING, wait_s=wait_s) as duty:
        if duty is None:
            raise PlannerBusy(waited_s=wait_s)
        return _plan(
            engine,
            duty,
            kind=kind,
            now=now,
            policy=policy,
            results_topic=results_topic,
            waves=waves,
            embedder=embedder,
        )


def dry_run(
    engine: Engine,
    *,
    kind: WindowKind,
    now: datetime,
    policy: Policy,
    listings: Sequence[Listing] | None = None,
    embedder: Embedder | None = None,
) -> PlanOutcome | None:
    """The plan that `plan_window` would make; nothing is written, and no planner is disturbed.

    *listings*, where they are given, stand for the catalog as the service knows it.
    """
    wanted = span(kind, policy.plan, now)
    with engine.connect() as conn:
        conn = conn.execution_options(isolation_level="REPEATABLE READ")
        with conn.begin() as never:
            if listings is not None:
                sync_catalog(conn, listings)
            if embedder is not None:
                # Gone with the transaction, like all else.
                _embed(lambda: nullcontext(conn), embedder, kind=kind, now=now, policy=policy)
            reading = read(conn, wanted, now=now, vectors=vectors_of(embedder))
            never.rollback()
    draft = _draft(reading, kind=kind, wanted=wanted, now=now, policy=policy)
    return None if draft is None else outcome_of(draft, plan_id=None)


def _plan(
    engine: Engine,
    duty: Connection,
    *,
    kind: WindowKind,
    now: datetime,
    policy: Policy,
    results_topic: str,
    waves: bool,
    embedder: Embedder | None,
) -> PlanOutcome | None:
    wanted = span(kind, policy.plan, now)
    for left in reversed(range(policy.plan.solve_tries)):
        # No transaction is open while the plan is made.
        with snapshot(engine) as conn:
            reading = read(conn, wanted, now=now, vectors=vectors_of(embedder))
        draft = _draft(reading, kind=kind, wanted=wanted, now=now, policy=policy, waves=waves)
        if draft is None:
            return None
        try:
            with duty.begin():
                plan_id = commit(duty, draft, policy=policy, results_topic=results_topic)
            return outcome_of(draft, plan_id=plan_id)
        except Overtaken as moved:
            if not left:
                raise
            logger.info("planning again", reason=str(moved))
    raise AssertionError("a window is tried at least once")


def _embed(
    begin: Begin, embedder: Embedder, *, kind: WindowKind, now: datetime, policy: Policy
) -> None:
    wanted = span(kind, policy.plan, now)
    found = embed_queued(
        begin,
        embedder,
        before=wanted.before,
        limit=wanted.jobs_max,
        seconds=policy.plan.embed_s,
    )
    found.tell()


def _draft(
    reading: Reading,
    *,
    kind: WindowKind,
    wanted: Span,
    now: datetime,
    policy: Policy,
    waves: bool = False,
) -> Draft | None:
    """A checked plan for what was read; None where that has no jobs."""
    if not reading.window.jobs:
        return None
    estimators = load_estimators({one.kind: one.body for one in reading.estimators})
    _tell_unread(reading, estimators)
    case = make_case(
        reading, estimators=estimators, policy=policy.plan, horizon_s=wanted.horizon_s, now=now
    )
    solved = solve(case.problem, seed=policy.plan.seed, time_limit_s=policy.plan.solve_s)
    if not solved.has_plan:
        raise NoPlan(solved.status)
    if waves:
        case, solved = in_waves(case, solved, policy=policy.plan, horizon_s=wanted.horizon_s)
    case, solved = explored(case, solved, predictor=estimators.quality, policy=policy.plan)
    check_plan(case.problem, solved.choice)
    return _spelled_out(case, solved, kind=kind, wanted=wanted, policy=policy, by=estimators)


def _tell_unread(reading: Reading, estimators: Estimators) -> None:
    """Say so where the heads in use cannot read the window, and it is planned by means."""
    learned_on, window = estimators.quality.representation, reading.window
    if learned_on and learned_on != window.model:
        logger.warning(
            "quality was learned on another embedding model; planned by the offers' means",
            learned_on=learned_on,
            configured=window.model or "none",
            advice="run `apportion learn`, or set APPORTION_EMBEDDING to that model's folder",
        )


def _spelled_out(
    case: Case,
    solved: Result,
    *,
    kind: WindowKind,
    wanted: Span,
    policy: Policy,
    by: Estimators,
) -> Draft:
    plan = policy.plan
    choice = committed(case, solved.choice)
    chosen = chosen_of(case, choice)
    left = left_out(
        case,
        choice,
        solved.rows,
        policy=plan,
        horizon_s=wanted.horizon_s,
        night=next_night(plan, case.now),
    )
    others = next_best(case.problem, choice, solved.rows, count=plan.alternatives)
    return Draft(
        kind=kind,
        case=case,
        solved=solved,
        chosen=chosen,
        packing=pack(case, chosen, policy=plan, patience_s=wanted.horizon_s),
        left=tuple(left),
        decisions=decision_rows(case, chosen, others, left),
        inputs=_inputs(case, policy=policy, estimators=by),
        seed=plan.seed,
        objective=plan.objective,
    )


def _inputs(case: Case, *, policy: Policy, estimators: Estimators) -> dict[str, Any]:
    """Digests (hex) of what the plan went by, and the offers that rested meanwhile."""
    window = case.window
    vectors = {"model": window.model, "documents": int(window.embedded.any(1).sum())}
    limits = [[row.name, row.measure, row.limit] for row in case.problem.rows]
    resting = [one.offer.name for one in case.options.offers if one.rests(case.now)]
    return (
        estimators.digests
        | ({"embedding": vectors} if window.model else {})
        | ({"resting": resting} if resting else {})
        | {
            "prices": {one.offer.name: one.price_digest.hex() for one in case.options.offers},
            "policy": policy.digest().hex(),
            "limits": hashlib.sha256(canonical(limits).encode()).hexdigest(),
        }
    )
