"""A share of the plan goes to offers of which little is known, and never at the cost of a rule."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine

from scheduler.cli.plan import print_outcome
from scheduler.domain.job import Task
from scheduler.domain.listing import Listing
from scheduler.estimate.features import document_features
from scheduler.estimate.learning import learned
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor
from scheduler.planning.exploring import EXPLORED, little_known
from scheduler.planning.options import REDUCTIONS, make_options
from scheduler.planning.outcome import LimitLine, PlanOutcome
from scheduler.planning.planner import dry_run, plan_window
from scheduler.planning.window import WindowKind
from scheduler.store.estimators import activate, add_estimator
from scheduler.store.windows import TASKS
from tests.planning.queued import (
    CHEAP,
    GOOD,
    NOON,
    TEXT,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    listing,
    policy,
    rows,
)
from tests.planning.windows import plan_offers

NEW = listing("acme-ai/new", usd_per_million=(3.0, 12.0), quality=0.9)


def taught(*names: str, count: int = 60) -> Predictor:
    """*count* good answers to summaries by each of the offers *names*."""
    texts = [f"{TEXT[: 200 + number]} {number}" for number in range(count)]
    return learned(
        Observations(
            features=document_features(texts).astype(np.float32),
            row=np.tile(np.arange(count), len(names)),
            task=["summarize"] * (count * len(names)),
            offer=[name for name in names for _ in range(count)],
            score=np.full(count * len(names), 0.95),
        )
    )


def know(conn: Connection, *names: str) -> None:
    """Plans go by a predictor that has seen the offers *names*."""
    predictor = taught(*names)
    made = add_estimator(
        conn,
        kind="quality",
        digest=predictor.digest(),
        body=predictor.to_bytes(),
        figures={},
    )
    activate(conn, kind="quality", estimator_id=made)


def queue(
    engine: Engine, *wishes: Wish, offers: tuple[Listing, ...] = (GOOD, NEW), usd: float = 100
) -> None:
    with engine.begin() as conn:
        add_offers(conn, *offers)
        add_budget(conn, usd)
        add_jobs(conn, *wishes)
        know(conn, GOOD.offer.name)


def plan(engine: Engine, **figures: Any) -> PlanOutcome:
    by = policy(kept_quality_ppm={}, **figures)
    found = dry_run(engine, kind=WindowKind.CONTINUOUS, now=NOON, policy=by)
    assert found is not None
    return found


def jobs_of(outcome: PlanOutcome, one: Listing) -> int:
    return sum(line.jobs for line in outcome.options if line.offer == one.offer.name)


def row_of(outcome: PlanOutcome) -> LimitLine | None:
    return next((line for line in outcome.limits if line.measure == EXPLORED), None)


def test_a_share_of_the_jobs_goes_to_an_offer_that_nothing_is_known_of(engine: Engine) -> None:
    queue(engine, *[Wish() for _ in range(100)])

    exploring, not_exploring = plan(engine, explore_ppm=50_000), plan(engine, explore_ppm=0)

    assert (jobs_of(not_exploring, NEW), row_of(not_exploring)) == (0, None)
    assert (jobs_of(exploring, NEW), jobs_of(exploring, GOOD)) == (5, 95)
    row = row_of(exploring)
    assert row is not None
    assert (row.name, row.limit, row.use) == ("exploration", 5, 5)
    assert row.price > 0


def test_an_offer_is_known_from_the_policys_count_of_outcomes_on() -> None:
    options = make_options(plan_offers(GOOD, NEW), policy().plan)
    predictor = taught(GOOD.offer.name, count=60)
    of_task = TASKS.index(Task.SUMMARIZE)
    good = slice(0, len(REDUCTIONS))

    assert not little_known(options, predictor, below=60)[of_task, good].any()
    assert little_known(options, predictor, below=61)[of_task, good].all()
    # What it does at one task says nothing of the others; the new offer is known at none.
    new = little_known(options, predictor, below=60)[:, len(REDUCTIONS) :]
    judging = TASKS.index(Task.JUDGE)
    assert np.delete(new, judging, axis=0).all()
    # Judges are not explored: nothing would be learned of them.
    assert not new[judging].any()
    others = ~np.isin(np.arange(len(TASKS)), [of_task, judging])
    assert little_known(options, predictor, below=60)[others].all()


def test_a_window_too_small_for_one_job_of_the_share_does_not_explore(engine: Engine) -> None:
    queue(engine, *[Wish() for _ in range(49)])
    assert row_of(plan(engine)) is None

    with engine.begin() as conn:
        add_jobs(conn, Wish())
    found = plan(engine)
    assert (jobs_of(found, NEW), jobs_of(found, GOOD)) == (1, 49)


def test_before_anything_is_learned_there_is_nothing_to_explore_apart_from(
    engine: Engine,
) -> None:
    with engine.begin() as conn:
        add_offers(conn, GOOD, NEW)
        add_budget(conn, 100)
        add_jobs(conn, *[Wish() for _ in range(100)])

    assert row_of(plan(engine, explore_ppm=50_000)) is None


def test_a_job_explores_only_where_its_own_minimum_of_quality_is_kept(engine: Engine) -> None:
    sure = [Wish(min_quality_ppm=880_000) for _ in range(97)]
    queue(engine, *sure, *[Wish() for _ in range(3)])

    found = plan(engine, explore_ppm=100_000)

    # Ten are wanted, and three may.
    assert (jobs_of(found, NEW), found.planned) == (3, 100)


def test_what_there_is_no_money_for_is_not_explored_and_the_window_is_planned(
    engine: Engine,
) -> None:
    dear = listing("acme-ai/dear", usd_per_million=(3_000, 12_000), quality=0.9)
    queue(engine, *[Wish() for _ in range(100)], offers=(GOOD, dear), usd=1)

    found = plan(engine, explore_ppm=50_000)

    assert (jobs_of(found, dear), jobs_of(found, GOOD), row_of(found)) == (0, 100, None)


def test_exploring_may_not_crowd_out_more_than_its_share_of_value(engine: Engine) -> None:
    # One exploring job would take the money of half the others.
    dear = listing("acme-ai/dear", usd_per_million=(150, 600), quality=0.9)
    queue(engine, *[Wish() for _ in range(100)], offers=(GOOD, dear), usd=0.56)

    found = plan(engine, explore_ppm=20_000)

    assert found.planned == 100
    assert jobs_of(found, dear) == 0


def test_fewer_explore_where_not_all_of_the_share_can(engine: Engine) -> None:
    slow = replace(NEW, offer=replace(NEW.offer, requests_per_minute=1))
    queue(engine, *[Wish() for _ in range(100)], offers=(GOOD, slow))

    found = plan(engine, explore_ppm=100_000, horizon_s=180.0)

    # Ten are wanted, and the offer takes three in the time.
    assert 2 <= jobs_of(found, slow) <= 3
    assert found.planned == 100


def test_the_row_is_in_the_plan_that_a_person_reads(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    queue(engine, *[Wish() for _ in range(100)], offers=(GOOD, NEW, CHEAP))

    print_outcome(plan(engine))

    said = capsys.readouterr().out
    assert "exploration" in said
    assert "at least 2" in said


def test_the_row_is_in_the_books(engine: Engine) -> None:
    queue(engine, *[Wish() for _ in range(100)])
    plan_window(
        engine,
        kind=WindowKind.CONTINUOUS,
        now=NOON,
        policy=policy(),
        results_topic="documents.results",
    )

    with engine.connect() as conn:
        [made] = rows(conn, "SELECT rows FROM plan")
    said = made.rows if isinstance(made.rows, list) else json.loads(made.rows)
    assert [one["limit"] for one in said if one["name"] == "exploration"] == [2]
