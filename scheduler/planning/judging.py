"""Finished jobs are shown to a judge: a share of them becomes jobs of the service's own.

A judging is a job like any other, of the task `judge`: it is planned among the rest, paid from
a budget, noted before its call and settled after it, and survives what they survive.  What sets
it apart is that its result is no event but a score, among the feedback on the job it judges.
"""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine

from scheduler.domain.errors import Refused
from scheduler.domain.policy import JudgePolicy
from scheduler.store.judging import add_judgings, count_judges
from scheduler.store.locks import Duty, on_duty

logger = structlog.get_logger(__name__)

LATE = timedelta(minutes=2)
"""A result has the time at which its transaction began; it may be seen so much later."""


class NoJudging(Refused):
    """Nothing is judged; the message says what to set."""


def look_back(policy: JudgePolicy, *, last: datetime | None, now: datetime) -> datetime | None:
    """Since when finished jobs are to be looked through at *now*; None when it is too early.

    *last* is when they were last looked through.
    """
    if not policy.share_ppm:
        return None
    if last is None:
        return now - timedelta(seconds=policy.lookback_s)
    if now < last + timedelta(seconds=policy.every_s):
        return None
    return last - LATE


def queue_judgings(
    engine: Engine, *, policy: JudgePolicy, since: datetime, now: datetime
) -> int | None:
    """Queue judgings of what finished since *since*; how many.

    None while another process does so: two at once would go beyond the day's most.
    """
    with on_duty(engine, Duty.JUDGING) as conn:
        if conn is None:
            return None
        with conn.begin():
            added = add_judgings(conn, policy=policy, since=since, now=now)
    if added:
        logger.info("answers to be judged", jobs=added)
    return added


def check_judging(engine: Engine, *, policy: JudgePolicy) -> None:
    """Check that something could be judged at all.

    Raises:
        NoJudging: the policy's share is 0, or no offer that is on has the task `judge`.
    """
    if not policy.share_ppm:
        raise NoJudging(
            "the policy has nothing judged; set judge.share_ppm (20000 is 2 %), as in"
            ' APPORTION_POLICY=\'{"judge": {"share_ppm": 20000}}\''
        )
    with engine.connect() as conn:
        if not count_judges(conn):
            raise NoJudging(
                "no offer that is on may judge; add `judge` to the `tasks` of one in the catalog"
            )
