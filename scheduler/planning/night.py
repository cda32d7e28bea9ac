"""When the nights begin: a crontab in a time zone."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from scheduler.domain.errors import Refused
from scheduler.domain.policy import PlanPolicy


class BadNight(Refused):
    """The policy's crontab or time zone cannot be read."""

    def __init__(self, *, crontab: str, zone: str, reason: str) -> None:
        super().__init__(
            f"the night {crontab!r} in {zone!r}: {reason}; write plan.night_crontab like "
            "'0 22 * * *' and plan.night_zone like 'Europe/Berlin'"
        )
        self.crontab = crontab
        self.zone = zone
        self.reason = reason


def last_night(policy: PlanPolicy, now: datetime) -> datetime:
    """When the latest night began, at or before *now*; in UTC.

    Raises:
        BadNight: the policy's crontab or time zone cannot be read.
    """
    last, _ = _around(policy.night_crontab, policy.night_zone, now)
    return last


def next_night(policy: PlanPolicy, now: datetime) -> datetime:
    """When the next night begins, after *now*; raises as `last_night`."""
    _, following = _around(policy.night_crontab, policy.night_zone, now)
    return following


# A plan asks for each job that it puts off, and of only a few moments.
@lru_cache(maxsize=256)
def _around(crontab: str, zone: str, now: datetime) -> tuple[datetime, datetime]:
    """The nights before and after *now*."""
    try:
        # From the whole minute on: a night that begins this very minute has begun.
        here = now.astimezone(ZoneInfo(zone)).replace(second=59, microsecond=999_999)
        earlier = next(CronSim(crontab, here, reverse=True))
        last = earlier.astimezone(UTC)
        # In the hour that is there twice when summer ends, the way back from its second half
        # misses a night in its first, and the way forward finds one that is over.
        for night in CronSim(crontab, earlier):
            following = night.astimezone(UTC)
            if following > now:
                return last, following
            last = following
    except (CronSimError, StopIteration, ZoneInfoNotFoundError, ValueError) as error:
        reason = str(error)
    else:
        reason = ""
    raise BadNight(crontab=crontab, zone=zone, reason=reason or "never")
