"""Which answers are shown to a judge, and that judgings keep the rules that all jobs keep."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.domain.job import DataClass, Task
from scheduler.domain.listing import Listing
from scheduler.domain.policy import BadPolicy, JudgePolicy, PlanObjective, Policy
from scheduler.planning.judging import NoJudging, check_judging, look_back, queue_judgings
from scheduler.planning.loop import Look, step
from scheduler.planning.outcome import PlanOutcome
from scheduler.planning.planner import plan_window
from scheduler.planning.window import WindowKind
from scheduler.store.locks import Duty, on_duty
from tests.planning.queued import (
    CHEAP,
    GOOD,
    NOON,
    TOPIC,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    listing,
    policy,
    rows,
)

ALL = JudgePolicy(share_ppm=1_000_000)
HOUR = timedelta(hours=1)


def judge(name: str = "other/judge", **more: Any) -> Listing:
    return listing(name, provider="other", tasks=frozenset({Task.JUDGE}), **more)


def finished(
    conn: Connection, *wishes: Wish, by: Listing = CHEAP, at: datetime = NOON
) -> list[int]:
    """Jobs that *by* answered; their ids."""
    ids = add_jobs(conn, *wishes)
    conn.execute(
        text("UPDATE job SET state = 'done', finished_at = :at WHERE id = ANY(:ids)"),
        {"ids": ids, "at": at},
    )
    conn.execute(
        text("""
            INSERT INTO result (job_id, tenant_id, status, output, attempt_id, offer_id,
                                reduction, cost_nusd, digest, at)
            SELECT job.id, job.tenant_id, 'done', '"An answer."', gen_random_uuid(), offer.id,
                   'none', 1, sha256('x'), :at
            FROM job JOIN offer ON offer.name = :offer WHERE job.id = ANY(:ids)
        """),
        {"ids": ids, "at": at, "offer": by.offer.name},
    )
    return ids


def queue(
    engine: Engine, by: JudgePolicy = ALL, *, since: datetime = NOON, now: datetime = NOON
) -> int:
    added = queue_judgings(engine, policy=by, since=since, now=now)
    assert added is not None
    return added


def judged_jobs(engine: Engine) -> list[int]:
    with engine.connect() as conn:
        found = rows(conn, """SELECT (params -> 'judged' ->> 'job')::int AS id FROM job
                              WHERE task = 'judge' ORDER BY 1""")  # fmt: skip
    return [row.id for row in found]


def planned(engine: Engine, by: Policy | None = None, *, now: datetime = NOON) -> PlanOutcome:
    found = plan_window(
        engine, kind=WindowKind.ASKED, now=now, policy=by or policy(), results_topic=TOPIC
    )
    assert found is not None
    return found


def test_the_sample_is_the_share_and_drawn_again_the_same(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge())
        finished(conn, *[Wish()] * 400)
    tenth = replace(ALL, share_ppm=100_000)

    assert 20 <= queue(engine, tenth) <= 65
    first = judged_jobs(engine)
    assert queue(engine, tenth) == 0
    # A larger share holds the smaller one.
    assert 60 <= queue(engine, replace(ALL, share_ppm=300_000)) + len(first) <= 160
    assert set(first) < set(judged_jobs(engine))


def test_a_judging_has_the_limits_of_the_job_that_it_judges(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge())
        wish = Wish(
            task=Task.ANSWER,
            params='{"question": "Who?"}',
            residency=["eu"],
            data_class=DataClass.CONFIDENTIAL,
        )
        [job_id] = finished(conn, wish)

    assert queue(engine) == 1

    with engine.connect() as conn:
        judged, judging = rows(conn, "SELECT * FROM job ORDER BY id")
    assert judging.key == f"apportion:judge:{job_id}"
    assert (judging.tenant_id, judging.project_id) == (judged.tenant_id, judged.project_id)
    assert (judging.document_id, judging.residency) == (judged.document_id, ["eu"])
    assert (judging.data_class, judging.priority) == ("confidential", 1)
    assert judging.deadline == NOON + timedelta(days=1)
    said = judging.params["judged"]
    assert (said["task"], said["answer"]) == ("answer", "An answer.")
    assert said["request"] == {"question": "Who?"}


def test_only_what_the_policy_names_is_judged_and_only_where_there_is_a_judge(
    engine: Engine,
) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, GOOD)
        finished(conn, Wish(), Wish(task=Task.CLASSIFY))
        add_jobs(conn, Wish())
    with pytest.raises(NoJudging, match="add `judge`"):
        check_judging(engine, policy=ALL)
    with pytest.raises(NoJudging, match="share_ppm"):
        check_judging(engine, policy=JudgePolicy())

    assert queue(engine) == 0
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge())
    check_judging(engine, policy=ALL)
    assert queue(engine, JudgePolicy()) == 0
    assert queue(engine, ALL, since=NOON + HOUR) == 0
    assert queue(engine, replace(ALL, tasks=("classify",))) == 1
    # Judgings themselves are never judged.
    with engine.begin() as conn:
        conn.execute(text("UPDATE job SET state = 'done', finished_at = now()"))
    assert queue(engine) == 1


def test_no_more_are_begun_in_a_day_than_the_policy_allows(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge())
        finished(conn, *[Wish()] * 9)
    by = replace(ALL, per_day_max=4)

    assert [queue(engine, by), queue(engine, by)] == [4, 0]
    assert queue(engine, by, now=NOON + timedelta(days=1)) == 4


def test_one_process_at_a_time_queues_judgings(engine: Engine) -> None:
    with on_duty(engine, Duty.JUDGING) as taken:
        assert taken is not None
        assert queue_judgings(engine, policy=ALL, since=NOON, now=NOON) is None


def test_another_project_of_the_organisation_may_pay(engine: Engine) -> None:
    by = replace(ALL, scope="quality/judging")
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge())
        finished(conn, Wish())
    assert queue(engine, by) == 0

    with engine.begin() as conn:
        add_budget(conn, 1, scope="acme/quality/judging")
        add_budget(conn, 1, scope="rival/quality/judging")
    assert queue(engine, by) == 1

    assert planned(engine).planned == 1
    with engine.connect() as conn:
        found = rows(conn, """SELECT path, reserved_nusd FROM budget
                              JOIN scope ON scope.id = scope_id ORDER BY path""")  # fmt: skip
    assert [(one.path, one.reserved_nusd > 0) for one in found] == [
        ("acme/quality/judging", True),
        ("rival/quality/judging", False),
    ]


def test_a_judge_gets_judgings_and_others_get_none(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, GOOD, judge())
        add_budget(conn, 10)
        finished(conn, Wish())
        add_jobs(conn, Wish())
    queue(engine)

    made = planned(engine)

    assert {line.offer: line.jobs for line in made.options}["other/judge"] == 1
    assert made.planned == 2


def test_a_judge_does_not_judge_its_own_answers_unless_the_policy_says_so(engine: Engine) -> None:
    both = replace(CHEAP, tasks=frozenset({Task.SUMMARIZE, Task.JUDGE}))
    with engine.begin() as conn:
        add_offers(conn, both)
        add_budget(conn, 10)
        finished(conn, Wish(), by=both)
    assert queue(engine) == 0

    with engine.begin() as conn:
        add_offers(conn, both, judge())
    assert queue(engine) == 1
    with engine.begin() as conn:
        add_offers(conn, both)
    assert planned(engine).reasons[0].reason.startswith("the only offers that are on and may judge")

    with engine.begin() as conn:
        finished(conn, Wish(), by=both, at=NOON + HOUR)
        conn.execute(text("UPDATE job SET deferrals = 0"))
    assert queue(engine, replace(ALL, own_answers=True), since=NOON + HOUR) == 1
    assert planned(engine).planned == 1


@pytest.mark.parametrize(
    "wish", [Wish(residency=["eu"]), Wish(found_class=DataClass.RESTRICTED)], ids=["place", "class"]
)
def test_a_judge_sees_nothing_that_it_may_not_see(engine: Engine, wish: Wish) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge(region="us"))
        add_budget(conn, 10)
        finished(conn, wish)
    queue(engine)

    assert (planned(engine).planned, planned(engine).deferred) == (0, 1)
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge(region="eu-west-1", certificates=["soc2"]))
    assert planned(engine).planned == 1


def test_without_money_judging_stops_and_in_the_end_is_given_up_unheard(engine: Engine) -> None:
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge())
        add_budget(conn, 0.000_001)
        finished(conn, Wish(), Wish())
    by = replace(ALL, per_day_max=1)
    assert queue(engine, by) == 1
    assert planned(engine).reasons[0].reason.startswith("no budget left")

    # One waits for money: no others are queued behind it, another day either.
    assert queue(engine, ALL, now=NOON + timedelta(hours=20)) == 0

    made = planned(engine, now=NOON + timedelta(days=1, seconds=1))
    assert (made.planned, made.failed) == (0, 1)
    with engine.connect() as conn:
        [result] = rows(conn, "SELECT status, reason FROM result WHERE attempt_id IS NULL")
        assert result.status == "failed"
        assert "its deadline has passed" in result.reason
        assert not rows(conn, "SELECT 1 FROM outbox")


def test_in_dollars_a_judging_is_worth_what_the_policy_says(engine: Engine) -> None:
    stakes = {str(task): "1" for task in Task if task is not Task.JUDGE}
    by = policy(objective=PlanObjective.EARNINGS, gain_usd=stakes, loss_usd=stakes)
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge(usd_per_million=(2.0, 8.0)))
        add_budget(conn, 10)
        finished(conn, Wish(), Wish())
    queue(engine, replace(ALL, worth_usd="0.0001", per_day_max=1))
    assert planned(engine, by).reasons[0].reason.startswith("no answer is expected to earn")
    with engine.begin() as conn:
        conn.execute(text("UPDATE job SET deferrals = 0"))

    queue(engine, replace(ALL, worth_usd="0.05"))

    assert planned(engine, by).planned == 1


def test_the_planners_loop_has_answers_judged(engine: Engine) -> None:
    by = replace(policy(), judge=ALL)
    with engine.begin() as conn:
        add_offers(conn, CHEAP, judge())
        add_budget(conn, 10)
        finished(conn, Wish(not_before=NOON - HOUR), at=NOON - HOUR)
    look = Look()

    step(engine, look, now=NOON, policy=by, results_topic=TOPIC)
    assert len(judged_jobs(engine)) == 1
    with engine.begin() as conn:
        finished(conn, Wish(), at=NOON)
    step(engine, look, now=NOON + timedelta(seconds=5), policy=by, results_topic=TOPIC)
    assert len(judged_jobs(engine)) == 1
    step(engine, look, now=NOON + timedelta(seconds=10), policy=by, results_topic=TOPIC)
    assert len(judged_jobs(engine)) == 2


def test_a_look_back_reaches_a_little_behind_the_last_one() -> None:
    assert look_back(JudgePolicy(), last=None, now=NOON) is None
    assert look_back(ALL, last=None, now=NOON) == NOON - timedelta(days=1)
    assert look_back(ALL, last=NOON, now=NOON + timedelta(seconds=9)) is None
    assert look_back(ALL, last=NOON, now=NOON + HOUR) == NOON - timedelta(minutes=2)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"share_ppm": -1}, "judge.share_ppm"),
        ({"weight_ppm": 2_000_000}, "judge.weight_ppm"),
        ({"priority": 0}, "judge.priority"),
        ({"tasks": ("judge",)}, "judge.tasks: 'judge' is none"),
        ({"scope": "acme/quality/judging"}, "judge.scope: write TEAM/PROJECT"),
    ],
)
def test_figures_that_make_no_sense_are_refused(figures: dict[str, Any], said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        JudgePolicy(**figures)
