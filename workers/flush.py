"""The one transaction that settles finished calls and notes the next ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, func, select

from scheduler.domain.errors import Broken
from scheduler.domain.ledger import EntryKind
from scheduler.domain.work import Lease
from scheduler.store.attempts import end, start
from scheduler.store.evidence import append
from scheduler.store.feedback_records import prove_feedback
from scheduler.store.judging import add_judgements
from scheduler.store.ledger import Entry, book, grant
from scheduler.store.parcels import finish, lock_parcels, release, renew
from scheduler.store.resolution import Resolution, resolve_late
from scheduler.store.settlement import (
    fill,
    lock_bills,
    lock_jobs,
    move_jobs,
    write_outbox,
    write_results,
)
from scheduler.store.tables.jobs import job
from scheduler.store.tables.work import attempt
from workers.inhand import InHand, Noted, Turn
from workers.prompts import Prompt
from workers.settle import (
    CALL_FACTS,
    Names,
    Settlement,
    granted,
    overrun,
    settlement,
)


class Next(NamedTuple):
    """A call that is to be noted, and for which *asked_nusd* more are needed."""

    hand: InHand
    id: str
    prompt: Prompt
    asked_nusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one flush is to do; any part may be empty.

    Attributes:
        leases: all that are held, and are to be renewed.
        finished: those of them of which nothing is left once the turns are settled.
        released: those that are given back with what is left of them.
    """

    leases: Sequence[Lease]
    turns: Sequence[Turn] = ()
    nexts: Sequence[Next] = ()
    finished: Sequence[Lease] = ()
    released: Sequence[Lease] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What every flush of a worker goes by.

    Attributes:
        worker: who holds the leases; *stream* is where its evidence goes.
        policy: the digest (hex) of the one that it works under, for the evidence.
        topic: of the results' events.
        wait_s, wait_most_s: how long a job that is given back waits, the first time and ever.
        names: of the offers, by id.
    """

    worker: str
    stream: str
    policy: str
    topic: str
    lease: timedelta
    wait_s: float
    wait_most_s: float
    names: dict[int, Names]


@dataclass(slots=True, kw_only=True)
class Flushed:
    """What a flush did, once it is committed.

    Attributes:
        at: the database's time.
        standing: the leases that still are this worker's.
        noted: the calls that may go out now, each with what was granted for it.
        too_dear: those for which no budget had the money.
    """

    at: datetime
    standing: set[Lease]
    settled: Settlement
    noted: list[tuple[Noted, int]] = field(default_factory=list)
    too_dear: list[Next] = field(default_factory=list)


def flush(conn: Connection, batch: Batch, house: House) -> Flushed:
    """Do *batch* in the caller's transaction.

    Locks are taken in one order: parcels, jobs, budgets, the evidence's head.  What belongs
    to a lease that was lost is left out; its bills are for `post_late`.
    """
    at = conn.execute(select(func.now())).scalar_one()
    standing = renew(conn, batch.leases, lease=house.lease)
    turns = [turn for turn in batch.turns if turn.hand.job.lease in standing]
    nexts = [one for one in batch.nexts if one.hand.job.lease in standing]
    bills = lock_bills(conn, [turn.hand.job.job_id for turn in turns if turn.hand.purse.held_nusd])
    settled = settlement(
        turns, names=house.names, at=at.isoformat(), wait_s=house.wait_s, bills=bills
    )
    flushed = Flushed(at=at, standing=standing, settled=settled)
    finish(conn, [lease for lease in batch.finished if lease in standing])
    release(conn, [lease for lease in batch.released if lease in standing])
    judged = _settle_jobs(conn, settled, house)
    for_shorts, for_nexts = _ask(conn, settled, nexts)
    entries = _note(conn, nexts, for_nexts, flushed)
    for short, is_granted in zip(settled.shorts, for_shorts, strict=True):
        entries += granted(short) if is_granted else overrun(short)
    book(conn, settled.entries + entries)
    _prove(conn, settled, house)
    prove_feedback(conn, judged, stream=house.stream)
    return flushed


def post_late(conn: Connection, turns: Sequence[Turn], *, by: str) -> int:
    """Post the known bills of *turns*, whose leases were lost; in a transaction of its own.

    Their answers are dropped: the parcel is another worker's, which will have them anew.
    """
    bills = [turn.outcome for turn in turns if turn.outcome and turn.outcome.cost_nusd is not None]
    return resolve_late(
        conn,
        [
            Resolution(
                attempt_id=UUID(outcome.noted.id),
                cost_nusd=outcome.cost_nusd or 0,
                input_tokens=outcome.input_tokens,
                output_tokens=outcome.output_tokens,
            )
            for outcome in bills
        ],
        by=by,
    )


def was_done(conn: Connection, batch: Batch, flushed: Flushed) -> bool:
    """Whether *batch*, whose commit was never confirmed, is in the database after all.

    *flushed* is what it would have done.  That a row is no longer as it was is no sign of it:
    a rescue may have come between, and made unknown what this flush had ended.
    """
    # A server that lost us may be at that commit still; its locks say when it is over.
    lock_parcels(conn, batch.leases)
    if flushed.noted:
        noted, _ = flushed.noted[0]
        found = conn.execute(select(attempt.c.id).where(attempt.c.id == UUID(noted.id))).first()
        return found is not None
    if flushed.settled.ended:
        ended = select(attempt.c.finished_at).where(
            attempt.c.id == UUID(flushed.settled.ended[0].id)
        )
        return bool(conn.execute(ended).scalar_one() == flushed.at)
    for move in flushed.settled.moves[:1]:
        parcel_id = conn.execute(
            select(job.c.parcel_id).where(job.c.id == move.job_id)
        ).scalar_one()
        return parcel_id != move.parcel_id
    return False


def _settle_jobs(conn: Connection, settled: Settlement, house: House) -> list[dict[str, Any]]:
    """Settle them; the feedback that judges gave is still to be proved."""
    move_jobs(conn, settled.moves, wait_most_s=house.wait_most_s)
    ended = end(conn, settled.ended)
    if ended != len(settled.ended):
        raise Broken(f"{len(settled.ended) - ended} attempts were ended by somebody else")
    if settled.results:
        write_results(conn, settled.results)
        write_outbox(conn, topic=house.topic, messages=settled.messages)
    return add_judgements(conn, settled.judgements)


def _ask(
    conn: Connection, settled: Settlement, nexts: Sequence[Next]
) -> tuple[list[bool], list[bool]]:
    """Which bills' excess, and which calls to come, the budgets have the money for.

    The first to lock budgets in a flush, so the jobs that may get more are locked before.
    """
    asking = [one for one in nexts if one.asked_nusd]
    lock_jobs(conn, [one.hand.job.job_id for one in asking])
    shorts = settled.shorts
    asks = [(short.outcome.noted.hand.job, short.amount_nusd) for short in shorts]
    asks += [(one.hand.job, one.asked_nusd) for one in asking]
    answers = grant(
        conn,
        [(job.project_id, job.booked_on, nusd) for job, nusd in asks],
        booking=settled.entries,
    )
    for_nexts = iter(answers[len(shorts) :])
    return answers[: len(shorts)], [not one.asked_nusd or next(for_nexts) for one in nexts]


def _note(
    conn: Connection, nexts: Sequence[Next], answers: Sequence[bool], flushed: Flushed
) -> list[Entry]:
    """Write down the calls that may go out; the entries of what was granted for them."""
    entries = []
    for one, may_go in zip(nexts, answers, strict=True):
        if not may_go:
            flushed.too_dear.append(one)
            continue
        noted = Noted(one.id, flushed.at, one.hand, one.hand.option, one.prompt)
        flushed.noted.append((noted, one.asked_nusd))
        if one.asked_nusd:
            entries.append(_reservation(one))
    fill(conn, {noted.hand.job.job_id: nusd for noted, nusd in flushed.noted if nusd})
    if flushed.noted:
        # Spelled once: the driver would do it for each.
        at = flushed.at.isoformat()
        start(conn, [_started(one, at=at) for one, _ in flushed.noted])
    return entries


def _started(one: Noted, *, at: str) -> tuple[Any, ...]:
    """One row of `STARTED_COLUMNS`."""
    hand, option = one.hand, one.option
    lease = hand.job.lease
    return (
        one.id,
        at,
        hand.job.job_id,
        lease.parcel_id,
        lease.attempt,
        hand.attempts + 1,
        option.offer_id,
        option.price_id,
        option.reduction,
        one.prompt.version,
        option.reserved_nusd,
        hand.job.booked_on,
    )


def _reservation(one: Next) -> Entry:
    job = one.hand.job
    return Entry(
        kind=EntryKind.RESERVATION,
        amount_nusd=one.asked_nusd,
        tenant_id=job.tenant_id,
        project_id=job.project_id,
        booked_on=job.booked_on,
        job_id=job.job_id,
        plan_id=job.plan_id,
        offer_id=one.hand.option.offer_id,
    )


def _prove(conn: Connection, settled: Settlement, house: House) -> None:
    """Chain a record of the calls, of the jobs that failed, and of those that are given back.

    Of a failure it has the digest of its reason.
    """
    failed = [(one.job_id, one.digest.hex()) for one in settled.results if one.attempt_id is None]
    if not (settled.calls or failed or settled.returned):
        return
    body: dict[str, Any] = {
        "facts": CALL_FACTS,
        "calls": settled.calls,
        "worker": house.worker,
        "policy": house.policy,
    }
    if failed:
        body["failed"] = failed
    if settled.returned:
        body["returned"] = settled.returned
    append(conn, stream=house.stream, kind="calls", bodies=[body])
