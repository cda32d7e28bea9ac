"""The days that a budget or a report is for, as a person writes them."""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from scheduler.domain.errors import Refused

DAY = timedelta(days=1)


class BadPeriod(Refused):
    """A text that names no days."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is not a period; write day, month or year (the present one, UTC), "
            "2026, 2026-11, 2026-11-24, or 2026-11-01..2026-11-15 (both days included)"
        )
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Days from *starts_on* up to, not including, *ends_on*."""

    starts_on: date
    ends_on: date

    def __str__(self) -> str:
        """As `parse_period` reads it, and as short as can be."""
        first, last = f"{self.starts_on}", f"{self.ends_on - DAY}"
        for name in (first, first[:7], first[:4]):
            if _days(name) == self:
                return name
        return f"{first}..{last}"


EVER = Period(starts_on=date.min, ends_on=date.max)


def parse_period(text: str, *, today: date) -> Period:
    """The period that *text* names; `day`, `month` and `year` are those of *today*.

    Raises:
        BadPeriod: it names none.

    >>> str(parse_period("month", today=date(2026, 11, 24)))
    '2026-11'
    """
    named = {"day": f"{today}", "month": f"{today:%Y-%m}", "year": f"{today:%Y}"}
    first, to, last = named.get(text, text).partition("..")
    try:
        starts, ends = _days(first), _days(last if to else first)
    except ValueError:
        raise BadPeriod(text) from None
    if starts.starts_on >= ends.ends_on:
        raise BadPeriod(text)
    return Period(starts_on=starts.starts_on, ends_on=ends.ends_on)


def _days(text: str) -> Period:
    if not re.fullmatch(r"\d{4}(-\d{2}){0,2}", text, re.ASCII):
        raise ValueError(text)
    parts = [int(part) for part in text.split("-")]
    starts = date(*parts, *[1] * (3 - len(parts)))
    match len(parts):
        case 1:
            ends = date(starts.year + 1, 1, 1)
        case 2:
            ends = (starts.replace(day=28) + 4 * DAY).replace(day=1)
        case _:
            ends = starts + DAY
    return Period(starts_on=starts, ends_on=ends)
