"""Learns the estimators from what became of answers and calls, and puts the better ones in use.

What is held back is a share of the documents of which something could be learned only since the
estimator in use was made: neither that one nor the new one has learned from them.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from scheduler.domain.job import TEMPLATE_TOKENS, Task
from scheduler.domain.policy import JudgePolicy, PlanPolicy, Policy
from scheduler.estimate.comparing import compare
from scheduler.estimate.folds import group_folds, random_folds
from scheduler.estimate.judging import Calibration, calibrated
from scheduler.estimate.learning import learned, left_out
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor
from scheduler.estimate.represented import learned_beside
from scheduler.estimate.scoring import SCORER, agreement
from scheduler.estimate.tokens import Usage
from scheduler.planning.estimates import Estimators
from scheduler.planning.lessons import Lesson, evidence, nothing, plain
from scheduler.planning.retiring import estimators_to_beat
from scheduler.planning.usage_errors import Figures, latency_errors, token_errors
from scheduler.store.embeddings import NO_VECTORS, Vectors
from scheduler.store.estimators import activate, add_estimator
from scheduler.store.evidence import append
from scheduler.store.locks import Duty, alone
from scheduler.store.outcomes import Calls, Scores, read_calls, read_scores
from scheduler.store.policy_records import prove_policy
from scheduler.store.references import keep_scores, unscored
from scheduler.store.tables.plans import estimator

STREAM = "learn"
HELD_BACK_OF = 4
"""One document of so many is held back."""
CALLS_AGE = timedelta(days=60)
LEAST_CALLS = 20
REFERENCES_AT_ONCE = 1_000
LEAST_PROJECTS = 5
"""With fewer, projects are not held back whole: what is left would say little of the rest."""

Chosen = NDArray[np.bool_]
Floats = NDArray[np.float64]


def learn(
    conn: Connection,
    *,
    policy: Policy,
    force: bool = False,
    vectors: Vectors = NO_VECTORS,
) -> list[Lesson]:
    """Learn every kind anew, and put those in use that did better on what was held back.

    *policy* says what a judge's score counts where no person said anything, and how much is
    learned from; each lesson says what was left out, and its record names the policy.
    With *vectors* of an embedding model, quality is learned with them and without, and what did
    better of the two is held against the one in use.
    With *force* the new ones are put in use however they did.  The caller owns the
    transaction; plans that are made meanwhile go by what was in use before.
    """
    alone(conn, Duty.LEARNING)
    current, retired = estimators_to_beat(conn)
    calls = read_calls(conn, age=CALLS_AGE, limit=policy.learn.outcomes_max)
    lessons = [
        _quality(conn, current, policy, force, vectors),
        *(
            replace(lesson(conn, calls, current, policy.plan, force), left_out=calls.older)
            for lesson in (_tokens, _latency)
        ),
    ]
    named = {"policy": policy.digest().hex()}
    prove_policy(conn, policy)
    said = [*retired, *(evidence(lesson) | named for lesson in lessons)]
    append(conn, stream=STREAM, kind="learn", bodies=said)
    return lessons


def _quality(
    conn: Connection,
    current: Estimators,
    policy: Policy,
    force: bool,
    vectors: Vectors,
) -> Lesson:
    _score_references(conn)
    limits = policy.learn
    scores = read_scores(
        conn, edit_score=policy.plan.edit_score, limit=limits.outcomes_max, vectors=vectors
    )
    if not len(scores.said):
        return nothing("quality", "nobody has said how good an answer was")
    # Heads on another model's vectors are of no use now: all is held against their means anew.
    in_use = current.quality
    is_foreign = in_use.representation not in ("", vectors.model)
    held = _held_back(scores.document, scores.at, None if is_foreign else _made_at(conn, "quality"))
    outcomes = _observations(scores, policy, vectors.model)
    tried, taught = outcomes.of(held), outcomes.of(~held)
    candidate = _candidate(taught, seed=policy.plan.seed, documents_max=limits.documents_max)
    verdict = compare(in_use, candidate, tried)
    lesson = _settle(
        conn,
        "quality",
        candidate.to_bytes(),
        candidate.digest(),
        is_better=verdict.is_better or force,
        reason=verdict.reason,
        observations=len(scores.said),
        figures=plain(
            verdict.figures() | _judged(scores) | {"representation": candidate.representation}
        ),
    )
    return replace(
        lesson,
        left_out=scores.older,
        documents_left_out=left_out(taught, documents_max=limits.documents_max),
    )


def _candidate(taught: Observations, *, seed: int, documents_max: int) -> Predictor:
    """What the outcomes teach: with an embedding model the better of with its vectors and without.

    Where too few are there to tell, its vectors are taken: somebody configured it.
    """
    if taught.model and _vectors_help(taught, seed=seed, documents_max=documents_max):
        return learned_beside(taught, seed=seed, documents_max=documents_max)
    return learned(taught, seed=seed, documents_max=documents_max)


def _vectors_help(taught: Observations, *, seed: int, documents_max: int) -> bool:
    """Whether vectors do no harm on a share of what is *taught*, whole groups where there are any.

    Not on what is held back from all: what had been chosen there would look better than it is.
    """
    if taught.group is None:
        fold = random_folds(len(taught.features), folds=HELD_BACK_OF, seed=seed)
    else:
        fold = group_folds(taught.group, folds=HELD_BACK_OF, seed=seed)
    tried = fold[taught.row] == 0
    without, beside = (
        teach(taught.of(~tried), seed=seed, documents_max=documents_max)
        for teach in (learned, learned_beside)
    )
    return bool(beside.tasks) and compare(without, beside, taught.of(tried)).gain >= 0


def _score_references(conn: Connection) -> None:
    """Score the results whose right answers were told, so many at a time."""
    while referred := unscored(conn, scorer=SCORER, limit=REFERENCES_AT_ONCE):
        scores = [
            (one.id, round(agreement(one.task, one.output, one.reference) * 1_000_000))
            for one in referred
        ]
        keep_scores(conn, scores, scorer=SCORER)


def _judged(scores: Scores) -> dict[str, Any]:
    """How many scores are judges' alone, and how these compare with people where both spoke."""
    found = {
        name: {"pairs": one.pairs, "people_higher_by": one.offset, "slope": one.slope}
        for name, one in _calibrations(scores).items()
    }
    return {"judged": int(np.isnan(scores.said).sum()), "judges": found}


def _calibrations(scores: Scores) -> dict[str, Calibration]:
    both = ~np.isnan(scores.said) & ~np.isnan(scores.judged)
    judge = np.array([name or "" for name in scores.judge])
    return {
        name: calibrated(scores.judged[both & (judge == name)], scores.said[both & (judge == name)])
        for name in sorted({name for name in scores.judge if name})
    }


def outcome_scores(scores: Scores, judge: JudgePolicy) -> tuple[Floats, Floats]:
    """(n,) score and weight of each outcome: a person's word before a judge's, and for more."""
    score, weight = scores.said.copy(), np.ones(len(scores.said))
    alone = np.isnan(scores.said)
    for name, calibration in _calibrations(scores).items():
        mine = alone & np.array([one == name for one in scores.judge])
        score[mine] = calibration.people_would_say(scores.judged[mine])
    weight[alone] = judge.weight_ppm / 1e6
    return score, weight


def _observations(scores: Scores, policy: Policy, model: str) -> Observations:
    """The scores, those of shortened documents as the whole ones would have had."""
    kept = np.array(
        [
            policy.plan.kept_quality_ppm.get(task, {}).get(reduction, 1_000_000) / 1e6
            for task, reduction in zip(scores.task, scores.reduction, strict=True)
        ]
    )
    documents, first, row = np.unique(scores.document, return_index=True, return_inverse=True)
    assert len(documents) == len(scores.features)
    projects = scores.project[first]
    score, weight = outcome_scores(scores, policy.judge)
    return Observations(
        features=scores.features.astype(np.float32),
        embedded=scores.embedded.astype(np.float32),
        model=model,
        row=row.astype(np.int64),
        task=scores.task,
        offer=scores.offer,
        score=np.minimum(score / kept, 1.0),
        weight=weight,
        prior=scores.prior,
        # What was learned in some projects is tried on others: a new one is never like the old.
        group=None if np.unique(projects).size < LEAST_PROJECTS else projects.tolist(),
    )


def _tokens(
    conn: Connection, calls: Calls, current: Estimators, policy: PlanPolicy, force: bool
) -> Lesson:
    if len(calls.at) < LEAST_CALLS:
        return nothing("tokens", f"{len(calls.at)} calls are too few")
    held = _held_back(np.arange(len(calls.at)), calls.at, _made_at(conn, "tokens"))
    candidate = current.tokens.learned(_usage(calls, ~held))
    errors = [
        token_errors(model, calls, held, level=policy.output_quantile)
        for model in (current.tokens, candidate)
    ]
    return _better_if_nearer(
        conn,
        "tokens",
        json.dumps(candidate.to_dict(), sort_keys=True).encode(),
        candidate.digest(),
        errors,
        held,
        force,
    )


def _usage(calls: Calls, chosen: Chosen) -> Usage:
    """*calls* as if the document alone had been sent; plans add the template's tokens."""
    places = np.flatnonzero(chosen).tolist()
    around = np.array([TEMPLATE_TOKENS[Task(calls.task[at])] for at in places], np.int64)
    return Usage(
        stats=calls.stats[chosen],
        family=[calls.family[at] for at in places],
        offer=[calls.offer[at] for at in places],
        task=[calls.task[at] for at in places],
        input_tokens=np.maximum(calls.input_tokens[chosen] - around, 1),
        output_tokens=calls.output_tokens[chosen],
        cut=calls.cut[chosen],
    )


def _latency(
    conn: Connection, calls: Calls, current: Estimators, policy: PlanPolicy, force: bool
) -> Lesson:
    timed = calls.seconds > 0
    if timed.sum() < LEAST_CALLS:
        return nothing("latency", f"{int(timed.sum())} timed calls are too few")
    held = _held_back(np.arange(len(calls.at)), calls.at, _made_at(conn, "latency")) & timed
    taught = np.flatnonzero(timed & ~held)
    candidate = current.latency.learned(
        offer=[calls.offer[at] for at in taught.tolist()],
        output_tokens=calls.output_tokens[taught],
        seconds=calls.seconds[taught],
    )
    errors = [
        latency_errors(model, calls, held, level=policy.latency_quantile)
        for model in (current.latency, candidate)
    ]
    return _better_if_nearer(
        conn,
        "latency",
        json.dumps(candidate.to_dict(), sort_keys=True).encode(),
        candidate.digest(),
        errors,
        held,
        force,
    )


def _better_if_nearer(
    conn: Connection,
    kind: str,
    body: bytes,
    digest: bytes,
    errors: list[Figures],
    held: Chosen,
    force: bool,
) -> Lesson:
    current, candidate = errors
    before, after = current["loss"], candidate["loss"]
    figures: dict[str, Any] = {
        "outcomes": int(held.sum()),
        "current": plain(current),
        "candidate": plain(candidate),
    }
    return _settle(
        conn,
        kind,
        body,
        digest,
        is_better=after < before or force,
        reason=(
            f"off by a factor of {np.exp(after):.3f}, before {np.exp(before):.3f}"
            if held.any()
            else "no call since the one in use was made is there to compare them on"
        ),
        observations=len(held),
        figures=figures,
    )


def _settle(
    conn: Connection,
    kind: str,
    body: bytes,
    digest: bytes,
    *,
    is_better: bool,
    reason: str,
    observations: int,
    figures: dict[str, Any],
) -> Lesson:
    assert hashlib.sha256(body).digest() == digest
    made = add_estimator(conn, kind=kind, digest=digest, body=body, figures=figures)
    if is_better:
        activate(conn, kind=kind, estimator_id=made)
    return Lesson(
        kind=kind,
        is_new=is_better,
        reason=reason,
        observations=observations,
        figures=figures | {"digest": digest.hex()},
    )


def _held_back(document: NDArray[np.int64], at: list[datetime], since: datetime | None) -> Chosen:
    """(n,) which outcomes are held back: of one new document in `HELD_BACK_OF`, all."""
    new = np.array([since is None or one > since for one in at], np.bool_)
    known = np.isin(document, document[~new])
    # A document's number says nothing of it; multiplied, neighbours part.
    share = (document.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return np.asarray(new & ~known & (share % HELD_BACK_OF == 0), np.bool_)


def _made_at(conn: Connection, kind: str) -> datetime | None:
    """When the estimator in use was made; None while that is the shipped one."""
    return conn.execute(
        select(estimator.c.made_at).where(estimator.c.kind == kind, estimator.c.is_active)
    ).scalar_one_or_none()
