"""A job in a worker's hands, and how one call for it went.

What is made for every call is a tuple: a frozen dataclass takes three times as long to make.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from scheduler.domain.job import JobState
from scheduler.domain.option import Option
from scheduler.domain.purse import Purse
from scheduler.domain.work import AttemptState
from scheduler.store.assignments import Assignment
from workers.prompts import Prompt


class Trouble(StrEnum):
    """Why a call brought no result; it is the first word of the attempt's stored error.

    `unavailable`: the offer may do it later.  `limited`: it was asked more than it lets
    through, and stayed so.  `unusable`: a person must mend something first.
    `lost`: sent, and nothing that can be read came back.  `refused`: the provider will not do
    this document.  `bad_output`: it answered, and not what the task asks for.  `too_dear`:
    the money for it was not to be had.  `unsent`: it was noted, and then not made.
    """

    UNAVAILABLE = "unavailable"
    LIMITED = "limited"
    UNUSABLE = "unusable"
    LOST = "lost"
    REFUSED = "refused"
    BAD_OUTPUT = "bad_output"
    TOO_DEAR = "too_dear"
    UNSENT = "unsent"


@dataclass(slots=True, kw_only=True)
class InHand:
    """One job while it is worked on; it is changed only by what the database has taken in.

    Attributes:
        option: what is to be called next.
        attempts: calls noted for it so far, under any plan.
        troubles: under this plan, what came of each option that was tried; the newest last.
    """

    job: Assignment
    purse: Purse
    option: Option
    attempts: int
    troubles: list[tuple[Option, Trouble]] = field(default_factory=list)


class Noted(NamedTuple):
    """An attempt that the database knows of, so that its call may go out.

    Attributes:
        id: a UUID as text, which is also sent with the call.
    """

    id: str
    started_at: datetime
    hand: InHand
    option: Option
    prompt: Prompt


class Outcome(NamedTuple):
    """How one noted call went.

    Attributes:
        state: as it is stored; unknown where the bill is.
        cost_nusd: None exactly then.
        trouble: None where the answer is the job's result, even if its price is unknown.
        error: for people; without key or document.
        output: the result as JSON text.
    """

    noted: Noted
    state: AttemptState
    cost_nusd: int | None
    trouble: Trouble | None = None
    error: str | None = None
    output: bytes | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish: str | None = None
    served_model: str | None = None
    request_id: str | None = None
    seconds: float | None = None


class Verdict(NamedTuple):
    """What becomes of a job: the state it goes to, or the option it is tried at next.

    Attributes:
        option: set exactly where the work on it goes on here.
        reason: why it failed, or was given back.
    """

    state: JobState
    option: Option | None = None
    reason: str | None = None


class Turn(NamedTuple):
    """What is to be settled for one job: what a call did to it, and what becomes of it."""

    hand: InHand
    verdict: Verdict
    outcome: Outcome | None = None
