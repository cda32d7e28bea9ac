"""A period is what a person wrote, to the day."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.reporting.periods import BadPeriod, Period, parse_period

TODAY = date(2028, 2, 29)


@pytest.mark.parametrize(
    ("text", "starts_on", "ends_on"),
    [
        ("day", date(2028, 2, 29), date(2028, 3, 1)),
        ("month", date(2028, 2, 1), date(2028, 3, 1)),
        ("year", date(2028, 1, 1), date(2029, 1, 1)),
        ("2026", date(2026, 1, 1), date(2027, 1, 1)),
        ("2026-12", date(2026, 12, 1), date(2027, 1, 1)),
        ("2026-12-31", date(2026, 12, 31), date(2027, 1, 1)),
        ("2026-11-01..2026-11-15", date(2026, 11, 1), date(2026, 11, 16)),
        ("2026-11..2027-01", date(2026, 11, 1), date(2027, 2, 1)),
        ("2026..2027", date(2026, 1, 1), date(2028, 1, 1)),
    ],
)
def test_a_period_has_all_its_days_and_no_other(text: str, starts_on: date, ends_on: date) -> None:
    assert parse_period(text, today=TODAY) == Period(starts_on=starts_on, ends_on=ends_on)


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "week", "2026-13", "2026-02-30", "26-11", "2026-1", "2026-11-24T00:00",
        "2026-11-15..2026-11-01", "..", "2026..", "..2026", "0000", "9999-13", "٢٠٢٦",
    ],
)  # fmt: skip
def test_what_names_no_days_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadPeriod, match="2026-11"):
        parse_period(text, today=TODAY)


days = st.dates(date(1990, 1, 1), date(2100, 1, 1))


@given(days, st.integers(1, 800))
def test_a_period_s_text_is_read_as_that_period(starts_on: date, length: int) -> None:
    period = Period(starts_on=starts_on, ends_on=starts_on + timedelta(days=length))

    assert parse_period(str(period), today=TODAY) == period


@pytest.mark.parametrize("text", ["2026", "2026-11", "2026-11-24"])
def test_a_whole_year_month_or_day_has_its_short_name(text: str) -> None:
    assert str(parse_period(text, today=TODAY)) == text
