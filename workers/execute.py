"""One attempt: the call, its retries, and what its answer is worth."""

import time
from typing import Protocol

import orjson
import structlog

from scheduler.domain.policy import WorkPolicy
from scheduler.domain.work import AttemptState
from scheduler.store.calling import Price
from workers.calls import (
    Adapter,
    Answer,
    Billed,
    Call,
    CallFailed,
    CallRefused,
    Finish,
    OfferUnusable,
    OutcomeUnknown,
    RateLimited,
)
from workers.contracts import OutputInvalid, check
from workers.inhand import Noted, Outcome, Trouble
from workers.retrying import retrying, surely_unbilled

LOG = structlog.get_logger()
WORDS_CHARS_MAX = 500


class Watch(Protocol):
    """Who is told of every try of a call, and decides whether there is another."""

    def answered(self) -> None: ...

    def failed(self, error: CallFailed) -> None: ...

    def may_retry(self) -> bool: ...

    async def before_retry(self, noted: Noted) -> None: ...

    async def sleep(self, seconds: float) -> None: ...


async def perform(
    noted: Noted, *, adapter: Adapter, model: str, price: Price, watch: Watch, policy: WorkPolicy
) -> Outcome:
    """Make the call that *noted* announces; never raises but for being cancelled."""
    call = Call(
        model=model,
        system=noted.prompt.system,
        prompt=noted.prompt.user,
        output_limit_tokens=noted.option.output_limit,
        attempt_key=noted.id,
        schema=noted.hand.job.params.get("schema"),
    )
    started = time.monotonic()
    try:
        # Most calls succeed at once, and are spared the retrier.
        try:
            answer = await adapter.answer(call)
        except CallFailed as error:
            watch.failed(error)
            if policy.tries_max <= 1 or not (surely_unbilled(error) and watch.may_retry()):
                raise
            left_s = policy.tries_s - (time.monotonic() - started)
            answer = await _again(
                noted, call, adapter, error, watch=watch, tries=policy.tries_max, left_s=left_s
            )
        else:
            watch.answered()
        return answered(noted, answer, price=price)
    except CallFailed as error:
        return failed(noted, error)
    except Exception as error:
        # A fault of ours, in one call: it must not end the others, nor lose what it cost.
        LOG.exception("a call broke", attempt=noted.id, offer=noted.option.offer_id)
        return lost(noted, f"a fault of the worker's own ({type(error).__name__})")


async def _again(
    noted: Noted,
    call: Call,
    adapter: Adapter,
    first: CallFailed,
    *,
    watch: Watch,
    tries: int,
    left_s: float,
) -> Answer:
    """Retry *call*, whose *first* try has failed: that one counts, and says how long to wait."""
    pending = [first]

    async def once() -> Answer:
        if pending:
            raise pending.pop()
        await watch.before_retry(noted)
        try:
            answer = await adapter.answer(call)
        except CallFailed as error:
            watch.failed(error)
            raise
        watch.answered()
        return answer

    again = retrying(
        tries=tries,
        seconds=left_s,
        sleep=watch.sleep,
        retry=lambda error: surely_unbilled(error) and watch.may_retry(),
    )
    return await again(once)


def answered(noted: Noted, answer: Answer, *, price: Price) -> Outcome:
    """What *answer* is worth, and what it cost; unknown where its usage cannot be believed."""
    usage = answer.usage
    cost_nusd = None
    if usage is not None:
        cost_nusd = price.cost_nusd(
            input_tokens=usage.input_tokens, output_tokens=usage.output_tokens
        )
    output, trouble, error = _worth(noted, answer)
    if cost_nusd is None:
        state = AttemptState.UNKNOWN
        error = error or "its usage is missing, or cannot be"
    else:
        state = AttemptState.FAILED if trouble else AttemptState.SUCCEEDED
    return Outcome(
        noted,
        state,
        cost_nusd,
        trouble,
        error,
        output,
        usage.input_tokens if usage else None,
        usage.output_tokens if usage else None,
        answer.finish,
        storable(answer.model),
        storable(answer.request_id) or None,
        answer.seconds,
    )


def _worth(noted: Noted, answer: Answer) -> tuple[bytes | None, Trouble | None, str | None]:
    if answer.finish is Finish.REFUSAL:
        return None, Trouble.REFUSED, "the model would not do this document"
    if answer.finish is Finish.LENGTH:
        # Half a summary reads like a whole one, and half a JSON value is none.
        limit = noted.option.output_limit
        return None, Trouble.BAD_OUTPUT, f"cut off at the limit of {limit} tokens"
    if answer.finish is Finish.OTHER:
        return None, Trouble.BAD_OUTPUT, "the provider ended it early, and not for its length"
    params = noted.hand.job.params
    try:
        output = check(
            noted.hand.job.task,
            answer.text,
            labels=params.get("labels", ()),
            schema=params.get("schema"),
        )
    except OutputInvalid as error:
        return None, Trouble.BAD_OUTPUT, str(error)
    # Sorted: what the database keeps can be spelled the same again, and held against its digest.
    return orjson.dumps(output, option=orjson.OPT_SORT_KEYS), None, None


def failed(noted: Noted, error: CallFailed) -> Outcome:
    """What a call that brought no answer came to: free of charge, or unknown."""
    is_free = error.billed is Billed.NO
    return Outcome(
        noted=noted,
        state=AttemptState.FAILED if is_free else AttemptState.UNKNOWN,
        cost_nusd=0 if is_free else None,
        trouble=_trouble(error),
        error=storable(str(error)),
        request_id=storable(error.request_id) or None,
    )


def storable(said: str) -> str:
    """What a provider said, as it may be stored: Postgres takes no NUL, and nothing is endless."""
    return said.replace("\0", "")[:WORDS_CHARS_MAX]


def _trouble(error: CallFailed) -> Trouble:
    if isinstance(error, OfferUnusable):
        return Trouble.UNUSABLE
    if isinstance(error, CallRefused):
        return Trouble.REFUSED
    if isinstance(error, OutcomeUnknown):
        return Trouble.LOST
    if isinstance(error, RateLimited):
        return Trouble.LIMITED
    return Trouble.UNAVAILABLE


def lost(noted: Noted, error: str) -> Outcome:
    """A call that may have gone out, and of which nothing more will be heard."""
    return Outcome(
        noted=noted,
        state=AttemptState.UNKNOWN,
        cost_nusd=None,
        trouble=Trouble.LOST,
        error=error,
    )


def unsent(noted: Noted, error: str, *, trouble: Trouble = Trouble.UNSENT) -> Outcome:
    """A call that was noted, and surely not made."""
    return Outcome(
        noted=noted, state=AttemptState.FAILED, cost_nusd=0, trouble=trouble, error=error
    )
