"""Why a job waits or fails, in words that tell a person what to do.

What many jobs share comes first, up to a colon; what is a job's own follows.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from scheduler.domain.money import usd_text
from scheduler.domain.policy import PlanPolicy
from scheduler.planning.options import PPM
from scheduler.store.budgets import ALWAYS
from scheduler.store.windows import DATA_CLASSES, NO_DEADLINE, TASKS, Window

WORTHLESS = "no offer that it may have is expected to give a good answer"
HELD = "its turn comes when money that is set aside for others, and likely not needed, is free"
NO_OTHER_JUDGE = "the only offers that are on and may judge gave the answer themselves"
AT_A_LOSS = "no answer is expected to earn what it costs"


def no_task(window: Window, job: int) -> str:
    return f"no offer that is on can {TASKS[int(window.task[job])]}; see `apportion offers`"


def no_region(window: Window, job: int) -> str:
    return f"no offer that can {TASKS[int(window.task[job])]} is in region {_place(window, job)}"


def no_class(window: Window, job: int, policy: PlanPolicy) -> str:
    data_class = DATA_CLASSES[int(window.data_class[job])]
    where = f"in region {_place(window, job)} " if window.places[int(window.place[job])] else ""
    needed = " or ".join(policy.certificates.get(data_class, ()))
    return (
        f"no offer {where}takes data class {data_class}: it needs own machines, or a provider "
        f"certified for {needed}"
    )


def no_context(*, needed: int, most: int) -> str:
    return (
        f"the document is too long: it needs {needed:,} tokens, and the longest context "
        f"among its offers is {most:,}"
    )


def no_quality(window: Window, job: int, *, best: float) -> str:
    asked = int(window.min_quality_ppm[job]) / PPM
    return f"no allowed offer is sure of quality {asked:.2f}: the best is sure of {best:.2f}"


def no_cheap(window: Window, job: int, *, cheapest_nusd: int) -> str:
    used = int(window.used_nusd[job])
    gone = f", of which {usd_text(used)} is used," if used else ""
    return (
        f"the job may not cost enough: {usd_text(int(window.max_cost_nusd[job]))}{gone} and its "
        f"cheapest option needs {usd_text(cheapest_nusd)}"
    )


def no_time(window: Window, job: int, *, now: datetime, only_batch: bool) -> str:
    due_us = int(window.due_us[job])
    if due_us == NO_DEADLINE:
        return "only batch offers are left, and the job is for now; give it a deadline or `night`"
    due = datetime.fromtimestamp(due_us / 1e6, UTC)
    said = due.isoformat(sep=" ", timespec="seconds")
    if due <= now:
        return f"its deadline has passed: it was {said}"
    who = "the only offers left are batches, which" if only_batch else "every offer that is left"
    return f"{who} may take longer than there is time: its deadline is {said}"


def no_budget(path: str, day: date) -> str:
    return (
        f"no budget covers {path} on {day} and no allowed offer is free; make one with "
        "`apportion budget set`"
    )


def all_rest(resting: Mapping[str, datetime]) -> str:
    first = min(resting.values()).isoformat(sep=" ", timespec="seconds")
    names = ", ".join(sorted(resting)[:3]) + (", ..." if len(resting) > 3 else "")
    return f"its offers rest after failures: {names}, the first until {first}"


def no_money(*, scope: str, period: str, cheapest_nusd: int, free_nusd: int) -> str:
    return (
        f"no budget left in {scope} {period}: the cheapest option needs {usd_text(cheapest_nusd)}, "
        f"{usd_text(free_nusd)} is free"
    )


def outbid(*, scope: str, period: str, free_nusd: int) -> str:
    left = usd_text(free_nusd)
    return f"what {scope} has {period} buys more in other jobs: {left} is left of it"


def at_a_loss(*, best_usd: float, sure_of: float | None = None, even: float = 0.0) -> str:
    """Why a job waits that would lose money with every option.

    Of `earnings` it is told how probable a good answer is at least, and where it breaks *even*.

    >>> at_a_loss(best_usd=-0.00125)
    'no answer is expected to earn what it costs: the best option comes to $-0.00125'
    """
    said = f"{AT_A_LOSS}: the best option comes to ${best_usd:.6g}"
    if sure_of is None:
        return said
    needed = f"it breaks even at {even:.3f}" if even <= 1 else "it would lose if it were certain"
    return f"{said}; a good answer has probability {sure_of:.3f}, and {needed}"


def no_capacity(*, offers: int, minutes: float) -> str:
    if offers == 1:
        return f"the one offer it may have is at its rate limit for the next {minutes:g} minutes"
    return f"all {offers} offers it may have are at their rate limits for {minutes:g} minutes"


def too_long(*, needed: int, minutes: float) -> str:
    return (
        f"the rate limits of all offers it may have are too low for the document: it needs "
        f"{needed:,} tokens, and none takes so many in {minutes:g} minutes; raise "
        "tokens_per_minute in the catalog, if the provider allows more"
    )


def head(reason: str) -> str:
    """The part of *reason* that it has in common with other jobs'.

    >>> head("the document is too long: it needs 9,000 tokens")
    'the document is too long'
    """
    return reason.split(": ", 1)[0]


def given_up(reason: str, *, deferrals: int) -> str:
    return f"{reason} (put off {deferrals} times)"


def period_text(starts_on: date, ends_on: date) -> str:
    """The period in words: *ends_on* is the first day after it.

    >>> period_text(date(2026, 11, 1), date(2026, 12, 1))
    'for November 2026'
    >>> period_text(date(2000, 1, 1), date(2100, 1, 1))
    'at any time'
    """
    if (starts_on, ends_on) == ALWAYS:
        return "at any time"
    if ends_on - starts_on == timedelta(days=1):
        return f"for {starts_on}"
    if (starts_on.day, ends_on.day) == (1, 1):
        if starts_on.month == ends_on.month == 1 and ends_on.year == starts_on.year + 1:
            return f"for {starts_on.year}"
        if (ends_on - timedelta(days=1)).replace(day=1) == starts_on:
            return f"for {starts_on:%B %Y}"
    return f"from {starts_on} to {ends_on - timedelta(days=1)}"


def _place(window: Window, job: int) -> str:
    return " or ".join(window.places[int(window.place[job])])
