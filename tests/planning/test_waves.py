"""A run in waves: a part of the jobs is committed, the rest when money has come back."""

from datetime import timedelta

from sqlalchemy import Engine

from scheduler.planning.outcome import PlanOutcome
from scheduler.planning.planner import plan_window
from scheduler.planning.reasons import HELD
from scheduler.planning.waves import EXPECTED
from scheduler.planning.window import WindowKind
from tests.planning.queued import (
    CHEAP,
    GOOD,
    NOON,
    TOPIC,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    policy,
    rows,
)

SHORT_USD, PLENTY_USD = 0.05, 5
JOBS = 50


def plan(
    engine: Engine, *wishes: Wish, usd: float = SHORT_USD, waves: bool = True, **figures: object
) -> PlanOutcome:
    """The plan of *wishes*, made and written."""
    with engine.begin() as conn:
        add_offers(conn, CHEAP, GOOD)
        add_budget(conn, usd)
        add_jobs(conn, *wishes)
    by = policy(explore_ppm=0, **figures)
    made = plan_window(
        engine, kind=WindowKind.ASKED, now=NOON, policy=by, results_topic=TOPIC, waves=waves
    )
    assert made is not None
    return made


def test_where_money_is_short_a_share_is_committed_and_the_rest_waits(engine: Engine) -> None:
    outcome = plan(engine, *[Wish() for _ in range(JOBS)])

    assert (outcome.planned, outcome.deferred, outcome.failed) == (30, 20, 0)
    [reason] = outcome.reasons
    assert (reason.reason, reason.jobs) == (HELD, 20)
    with engine.connect() as conn:
        states = rows(conn, "SELECT state, count(*) FROM job GROUP BY 1 ORDER BY 1")
        [budget] = rows(conn, "SELECT * FROM budget")
    assert [tuple(row) for row in states] == [("planned", 30), ("queued", 20)]
    assert budget.reserved_nusd == outcome.reserved_nusd <= budget.limit_nusd


def test_the_whole_window_is_planned_for_what_it_is_expected_to_cost(engine: Engine) -> None:
    outcome = plan(engine, *[Wish() for _ in range(JOBS)])

    set_aside, expected = outcome.limits
    assert (set_aside.measure, expected.measure) == ("cost_nusd", EXPECTED)
    assert outcome.cost_nusd < outcome.reserved_nusd == set_aside.use
    # The jobs that are held back have their part of it.
    assert outcome.cost_nusd < expected.use <= expected.limit == set_aside.limit
    assert expected.price > 0


def test_money_that_is_likely_to_come_back_is_planned_with(engine: Engine) -> None:
    at_once = plan(engine, *[Wish() for _ in range(JOBS)], waves=False)
    with engine.begin() as conn:
        add_budget(conn, SHORT_USD, scope="other")
    in_waves = plan(engine, *[Wish(project="other/team/project") for _ in range(JOBS)])

    assert (at_once.planned, in_waves.planned) == (50, 30)
    assert in_waves.value > 1.05 * at_once.value


def test_nobody_waits_where_money_is_no_matter(engine: Engine) -> None:
    outcome = plan(engine, *[Wish() for _ in range(JOBS)], usd=PLENTY_USD)

    assert (outcome.planned, outcome.deferred) == (JOBS, 0)


def test_nobody_waits_unless_the_caller_will_plan_again(engine: Engine) -> None:
    outcome = plan(engine, *[Wish() for _ in range(JOBS)], waves=False)

    assert HELD not in [line.reason for line in outcome.reasons]
    assert outcome.planned == JOBS


def test_few_jobs_are_planned_at_once(engine: Engine) -> None:
    few = plan(engine, *[Wish() for _ in range(10)], usd=0.01, wave_jobs_min=11)
    assert few.deferred == 0

    with engine.begin() as conn:
        add_budget(conn, 0.02)
    many = plan(engine, *[Wish() for _ in range(10)], usd=0.02, wave_jobs_min=10)
    assert many.deferred == 4


def test_jobs_that_are_due_soon_are_not_held_back(engine: Engine) -> None:
    soon = Wish(deadline=NOON + timedelta(hours=1))
    outcome = plan(engine, *[soon for _ in range(40)], *[Wish() for _ in range(10)])

    assert outcome.planned == 40
    with engine.connect() as conn:
        waiting = rows(conn, "SELECT deadline FROM job WHERE state = 'queued'")
    assert [row.deadline for row in waiting] == [None] * 10
