"""When the nights begin: a crontab in a time zone."""

from datetime import UTC, datetime
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
    return _nearest(policy, now, is_past=True)


def next_night(policy: PlanPolicy, now: datetime) -> datetime:
    """When the next night begins, after *now*; raises as `last_night`."""
    return _nearest(policy, now, is_past=False)


def _nearest(policy: PlanPolicy, now: datetime, *, is_past: bool) -> datetime:
    try:
        here = now.astimezone(ZoneInfo(policy.night_zone))
        # A night that begins this very minute has begun.
        here = here.replace(second=59, microsecond=999_999) if is_past else here
        return next(CronSim(policy.night_crontab, here, reverse=is_past)).astimezone(UTC)
    except (CronSimError, StopIteration, ZoneInfoNotFoundError, ValueError) as error:
        raise BadNight(
            crontab=policy.night_crontab, zone=policy.night_zone, reason=str(error) or "never"
        ) from None
