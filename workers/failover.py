"""Where a job goes when its option failed: to the next best one, to the queue, or nowhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scheduler.domain.job import JobState
from scheduler.domain.option import Option
from scheduler.domain.policy import WorkPolicy
from scheduler.domain.purse import Purse
from workers.inhand import InHand, Trouble, Verdict

DONE = Verdict(state=JobState.DONE)
REASON_CHARS_MAX = 400

_FINAL = frozenset({Trouble.REFUSED, Trouble.BAD_OUTPUT})
"""What the same offer would say of the same document again."""
_AGAIN = frozenset({Trouble.LOST, Trouble.UNSENT})
"""After these, the same option may be tried once more: it is not known to be at fault."""

WhyNot = Callable[[Option], str | None]
"""Why an option cannot be called now, in words for people; None where it can."""

NameOf = Callable[[Option], str]
"""What people call an option's offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What has happened to a job under its plan, as the choice of the next option needs it.

    Attributes:
        attempts: calls noted for it so far, under any plan.
        troubles: what came of each option tried under this one.
    """

    options: Sequence[Option]
    purse: Purse
    max_cost_nusd: int | None
    attempts: int
    troubles: Sequence[tuple[Option, Trouble]]


def past(hand: InHand, *, purse: Purse | None = None, trouble: Trouble | None = None) -> Past:
    """*hand*'s past; with *purse* and *trouble* as one more call has just left it."""
    return Past(
        options=hand.job.options(),
        purse=purse or hand.purse,
        max_cost_nusd=hand.job.max_cost_nusd,
        attempts=hand.attempts,
        troubles=[*hand.troubles, *([(hand.option, trouble)] if trouble else [])],
    )


def next_step(past: Past, *, why_not: WhyNot, name_of: NameOf, policy: WorkPolicy) -> Verdict:
    """The next best option of a job, or why there is none.

    An option that failed for good, or was unavailable even after its retries, is not tried
    again under the same plan; one whose answer was lost comes after those not yet tried.  A
    job that every option refused has failed; any other goes back to the queue.
    """
    if past.attempts >= policy.job_attempts_max:
        return Verdict(
            state=JobState.FAILED,
            reason=f"given up after {past.attempts} attempts{_last(past.troubles)}",
        )
    reasons: list[str] = []
    is_final = True
    made = sum(trouble is not Trouble.TOO_DEAR for _, trouble in past.troubles)
    for option in _in_order(past):
        hindrance = _hindrance(past, option, why_not, name_of)
        if hindrance is None:
            if made < policy.attempts_max:
                return Verdict(state=JobState.PLANNED, option=option)
            hindrance = f"{policy.attempts_max} attempts were made under this plan"
        reasons.append(hindrance)
        is_final = is_final and _trouble_at(past, option) in _FINAL
    reason = "; ".join(dict.fromkeys(reasons))[:REASON_CHARS_MAX]
    return Verdict(state=JobState.FAILED if is_final else JobState.QUEUED, reason=reason)


def _in_order(past: Past) -> list[Option]:
    """The plan's order, those that were tried already behind the others."""
    tried = [option for option, _ in past.troubles]
    return sorted(past.options, key=tried.count)


def _hindrance(past: Past, option: Option, why_not: WhyNot, name_of: NameOf) -> str | None:
    trouble = _trouble_at(past, option)
    if trouble is not None and trouble not in _AGAIN:
        return f"{name_of(option)}: {trouble}"
    if reason := why_not(option):
        return reason
    asked_nusd = past.purse.lacks(option.reserved_nusd)
    if not past.purse.may_take(asked_nusd, max_cost_nusd=past.max_cost_nusd):
        return f"{name_of(option)}: it would cost more than the job may"
    return None


def _trouble_at(past: Past, option: Option) -> Trouble | None:
    """The gravest trouble at *option*: one that is final, else the last."""
    here = [
        trouble
        for tried, trouble in past.troubles
        if (tried.offer_id, tried.reduction) == (option.offer_id, option.reduction)
    ]
    final = [trouble for trouble in here if trouble in _FINAL]
    return (final or here)[-1] if here else None


def _last(troubles: Sequence[tuple[Option, Trouble]]) -> str:
    return f"; the last was {troubles[-1][1]}" if troubles else ""
