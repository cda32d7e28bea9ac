"""What many finished calls come to: how jobs move, what is booked, and what is proved.

Pure: it is worked out before the transaction, in plain numbers, and written in one go.  What is
made for every call is made by position: naming its fields takes twice as long.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from scheduler.domain.job import JobState, Task
from scheduler.domain.ledger import EntryKind
from scheduler.domain.money import NUSD_PER_USD
from scheduler.domain.purse import Purse
from scheduler.store.attempts import Ended
from scheduler.store.judging import Judgement
from scheduler.store.ledger import Entry
from scheduler.store.settlement import JobMove, Result
from workers.inhand import InHand, Outcome, Turn

CALL_FACTS = (
    "attempt",
    "job",
    "parcel",
    "offer",
    "price",
    "prompt",
    "prompt_digest",
    "reduction",
    "state",
    "cost_nusd",
    "input_tokens",
    "output_tokens",
    "finish",
    "model",
    "request_id",
    "output_digest",
)
"""What the evidence keeps of every call, in the order of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A bill beyond what its job had set aside: asked of the budgets, or else an overrun."""

    outcome: Outcome
    kind: EntryKind
    amount_nusd: int


@dataclass(slots=True, kw_only=True)
class Settlement:
    """What a flush writes, each list for one table.

    Attributes:
        calls: for the evidence; rows of `CALL_FACTS`.
        returned: for the evidence; the jobs that are given back, with what came of each option
            that was tried (offer, reduction, trouble).
        purses: the hands' afterwards.
    """

    moves: list[JobMove] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    shorts: list[Short] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    calls: list[list[Any]] = field(default_factory=list)
    returned: list[tuple[int, list[tuple[int, str, str]]]] = field(default_factory=list)
    purses: list[tuple[InHand, Purse]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What people call an offer and its provider."""

    offer: str
    provider: str


def settlement(
    turns: Iterable[Turn],
    *,
    names: dict[int, Names],
    at: str,
    wait_s: float,
    bills: Mapping[int, tuple[int, int]],
) -> Settlement:
    """What *turns* (one per job) come to.

    *bills* has, by job, what is held and spent by now, where others may have resolved calls
    since the job was taken in hand.  *at* (ISO 8601) is when, for the results' messages;
    *wait_s* is how long a job that is given back waits before it is planned again.
    """
    book = Settlement()
    for turn in turns:
        before = turn.hand.purse
        if turn.hand.job.job_id in bills:
            held_nusd, spent_nusd = bills[turn.hand.job.job_id]
            before = before._replace(held_nusd=held_nusd, spent_nusd=spent_nusd)
        _settle(book, turn, before, names=names, at=at, wait_s=wait_s)
    return book


def account(purse: Purse, outcome: Outcome | None) -> tuple[Purse, int]:
    """*purse* once *outcome* is settled, and how much of its bill was not set aside."""
    if outcome is None:
        return purse, 0
    if outcome.cost_nusd is None:
        return purse.holding(outcome.noted.option.reserved_nusd), 0
    return purse.billed(outcome.cost_nusd) if outcome.cost_nusd else (purse, 0)


def granted(short: Short) -> list[Entry]:
    """The entries of a bill for whose excess a budget had the money."""
    return [
        _entry(short.outcome, EntryKind.RESERVATION, short.amount_nusd),
        _entry(short.outcome, short.kind, short.amount_nusd),
    ]


def overrun(short: Short) -> list[Entry]:
    """The entry of a bill whose excess no budget had."""
    return [_entry(short.outcome, EntryKind.OVERRUN, short.amount_nusd)]


def usd(amount_nusd: int) -> str:
    """*amount_nusd* in USD: an exact decimal, without exponent or needless zeros.

    >>> usd(270_000), usd(2_000_000_000)
    ('0.00027', '2')
    """
    if not amount_nusd:
        return "0"
    whole, fraction = divmod(amount_nusd, NUSD_PER_USD)
    return f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")


def _settle(
    book: Settlement,
    turn: Turn,
    before: Purse,
    *,
    names: dict[int, Names],
    at: str,
    wait_s: float,
) -> None:
    hand, outcome, state = turn.hand, turn.outcome, turn.verdict.state
    after, short_nusd = account(before, outcome)
    seal = None
    if outcome is not None:
        seal = hashlib.sha256(outcome.output).digest() if outcome.output is not None else None
        _bill(book, outcome, seal, short_nusd=short_nusd, is_result=state is JobState.DONE)
    over = state is not JobState.PLANNED
    if over and after.free_nusd:
        book.entries.append(_release(hand, after.free_nusd))
    held_nusd = after.held_nusd - before.held_nusd
    left_nusd = 0 if over else after.free_nusd
    if over or after != before:
        book.moves.append(
            JobMove(
                hand.job.job_id,
                hand.job.lease.parcel_id,
                state,
                before.free_nusd,
                before.free_nusd - left_nusd - held_nusd,
                held_nusd,
                after.spent_nusd - before.spent_nusd,
                turn.verdict.reason,
                wait_s,
            )
        )
    if state is JobState.QUEUED:
        book.returned.append((hand.job.job_id, _troubles(turn)))
    elif over:
        _publish(book, turn, after, seal, names=names, at=at)
    book.purses.append((hand, after))


def _bill(
    book: Settlement, outcome: Outcome, seal: bytes | None, *, short_nusd: int, is_result: bool
) -> None:
    noted = outcome.noted
    book.ended.append(
        Ended(
            noted.id,
            noted.started_at,
            outcome.state,
            outcome.cost_nusd,
            outcome.input_tokens,
            outcome.output_tokens,
            outcome.finish,
            outcome.served_model,
            outcome.request_id,
            _error(outcome),
            outcome.seconds,
        )
    )
    book.calls.append(_facts(outcome, seal))
    if not outcome.cost_nusd:
        return
    kind = EntryKind.POSTING if is_result else EntryKind.WASTE
    if paid_nusd := outcome.cost_nusd - short_nusd:
        book.entries.append(_entry(outcome, kind, paid_nusd))
    if short_nusd:
        book.shorts.append(Short(outcome=outcome, kind=kind, amount_nusd=short_nusd))


def _troubles(turn: Turn) -> list[tuple[int, str, str]]:
    """What came of every option that was tried for its job."""
    troubles = list(turn.hand.troubles)
    if turn.outcome is not None and turn.outcome.trouble is not None:
        troubles.append((turn.outcome.noted.option, turn.outcome.trouble))
    return [(option.offer_id, option.reduction, trouble) for option, trouble in troubles]


def _error(outcome: Outcome) -> str | None:
    if outcome.trouble is None:
        return outcome.error
    return f"{outcome.trouble}: {outcome.error or ''}".rstrip(": ")


def _facts(outcome: Outcome, seal: bytes | None) -> list[Any]:
    """One row of `CALL_FACTS`."""
    noted = outcome.noted
    return [
        noted.id,
        noted.hand.job.job_id,
        noted.hand.job.lease.parcel_id,
        noted.option.offer_id,
        noted.option.price_id,
        noted.prompt.version,
        noted.prompt.digest.hex(),
        noted.option.reduction,
        outcome.state,
        outcome.cost_nusd,
        outcome.input_tokens,
        outcome.output_tokens,
        outcome.finish,
        outcome.served_model,
        outcome.request_id,
        seal.hex() if seal else None,
    ]


def _entry(outcome: Outcome, kind: EntryKind, amount_nusd: int) -> Entry:
    job = outcome.noted.hand.job
    return Entry(
        kind,
        amount_nusd,
        job.tenant_id,
        job.project_id,
        job.booked_on,
        job.job_id,
        job.plan_id,
        outcome.noted.id,
        outcome.noted.option.offer_id,
    )


def _release(hand: InHand, amount_nusd: int) -> Entry:
    job = hand.job
    return Entry(
        EntryKind.RELEASE,
        amount_nusd,
        job.tenant_id,
        job.project_id,
        job.booked_on,
        job.job_id,
        job.plan_id,
    )


def _publish(
    book: Settlement,
    turn: Turn,
    purse: Purse,
    seal: bytes | None,
    *,
    names: dict[int, Names],
    at: str,
) -> None:
    hand, verdict = turn.hand, turn.verdict
    answer = turn.outcome if verdict.state is JobState.DONE else None
    output = answer.output if answer else None
    reason = verdict.reason if answer is None else None
    option = answer.noted.option if answer else None
    book.results.append(
        Result(
            hand.job.job_id,
            hand.job.tenant_id,
            verdict.state,
            output.decode() if output is not None else None,
            reason,
            answer.noted.id if answer else None,
            option.offer_id if option else None,
            option.reduction if option else None,
            purse.spent_nusd,
            option.quality_ppm if option else None,
            seal if answer and seal else hashlib.sha256((reason or "").encode()).digest(),
        )
    )
    if hand.job.task is Task.JUDGE:
        # Nobody waits for it: what it says is about another job, and goes to the feedback.
        if answer is not None:
            book.judgements.append(_judgement(answer))
        return
    message = _message(hand, answer, verdict.state, reason, purse, names=names, at=at)
    book.messages.append((hand.job.key, message))


def _judgement(outcome: Outcome) -> Judgement:
    assert outcome.output is not None
    noted = outcome.noted
    score = float(orjson.loads(outcome.output)["score"])
    return Judgement(
        job_id=noted.hand.job.params["judged"]["job"],
        score_ppm=round(score * 1_000_000),
        offer_id=noted.option.offer_id,
    )


def _message(
    hand: InHand,
    answer: Outcome | None,
    state: JobState,
    reason: str | None,
    purse: Purse,
    *,
    names: dict[int, Names],
    at: str,
) -> str:
    """The event on `documents.results`; its fields are described in docs/work.md."""
    option = answer.noted.option if answer else None
    called = names[option.offer_id] if option else None
    body = {
        "job_id": hand.job.key,
        "scope": hand.job.scope,
        "task": hand.job.task,
        "status": state,
        "reason": reason,
        "provider": called.provider if called else None,
        "model": answer.served_model if answer else None,
        "offer": called.offer if called else None,
        "reduction": option.reduction if option else None,
        "cost_usd": usd(purse.spent_nusd),
        "cost_unknown_usd": usd(purse.held_nusd),
        "input_tokens": answer.input_tokens if answer else None,
        "output_tokens": answer.output_tokens if answer else None,
        "quality_predicted": option.quality_ppm / 1_000_000 if option else None,
        "attempts": hand.attempts,
        "tags": orjson.Fragment(hand.job.tags),
        "plan_id": hand.job.plan_id,
        "finished_at": at,
        "output": orjson.Fragment(answer.output) if answer and answer.output else None,
    }
    return orjson.dumps(body).decode()
