"""When a night begins, and which jobs are due for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cronsim import CronSim

from scheduler.domain.policy import PlanPolicy
from scheduler.planning import night
from scheduler.planning.night import BadNight, last_night, next_night
from scheduler.planning.window import night_due

BERLIN = PlanPolicy(night_crontab="0 22 * * *", night_zone="Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_night_begins_on_the_minute_in_its_own_zone() -> None:
    assert last_night(BERLIN, utc("2026-11-24 20:59:59")) == utc("2026-11-23 21:00")
    assert last_night(BERLIN, utc("2026-11-24 21:00:00")) == utc("2026-11-24 21:00")
    assert next_night(BERLIN, utc("2026-11-24 20:59:59")) == utc("2026-11-24 21:00")
    assert next_night(BERLIN, utc("2026-11-24 21:00:00")) == utc("2026-11-25 21:00")


def test_a_night_follows_summer_time() -> None:
    assert next_night(BERLIN, utc("2026-03-28 12:00")) == utc("2026-03-28 21:00")
    assert next_night(BERLIN, utc("2026-03-29 12:00")) == utc("2026-03-29 20:00")


def test_in_the_hour_that_comes_twice_a_night_begins_once() -> None:
    policy = PlanPolicy(night_crontab="30 2 * * *", night_zone="Europe/Berlin")
    began, following = utc("2026-10-25 00:30"), utc("2026-10-26 01:30")

    for now in ("00:30", "00:59", "01:00", "01:10", "01:29:59", "01:30", "02:00"):
        at = utc(f"2026-10-25 {now}")
        assert (last_night(policy, at), next_night(policy, at)) == (began, following), now


def test_in_the_hour_that_is_left_out_a_night_begins_all_the_same() -> None:
    policy = PlanPolicy(night_crontab="30 2 * * *", night_zone="Europe/Berlin")
    began = utc("2026-03-29 01:00")

    assert next_night(policy, utc("2026-03-29 00:59")) == began
    assert last_night(policy, began) == began


def test_a_moment_that_many_jobs_ask_for_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []

    def looking(crontab: str, *about: Any, **how: Any) -> CronSim:
        looks.append(crontab)
        return CronSim(crontab, *about, **how)

    monkeypatch.setattr(night, "CronSim", looking)
    for _ in range(1_000):
        night_due(PlanPolicy(night_crontab="7 23 * * *"), utc("2026-11-24 12:00"))

    assert len(looks) == 2


@pytest.mark.parametrize(
    "policy",
    [
        PlanPolicy(night_crontab="every evening"),
        PlanPolicy(night_crontab="0 0 31 2 *"),
        PlanPolicy(night_zone="Europe/Nowhere"),
    ],
)
def test_a_night_that_cannot_be_read_is_refused_by_name(policy: PlanPolicy) -> None:
    with pytest.raises(BadNight, match=r"plan\.night_crontab"):
        last_night(policy, utc("2026-11-24 12:00"))


def test_by_day_only_jobs_from_before_the_night_are_due() -> None:
    policy = PlanPolicy(night_crontab="0 22 * * *", night_s=8 * 3600)
    began = utc("2026-11-23 22:00")

    assert night_due(policy, began + timedelta(hours=8)) == began
    during = began + timedelta(hours=8, seconds=-1)
    assert night_due(policy, during) == during
