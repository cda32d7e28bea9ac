"""Takes a provider's parcels, one after another, and works them off."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from scheduler.domain.job import JobState
from scheduler.domain.option import Option
from scheduler.domain.work import Lease
from scheduler.store.assignments import Assignment, read_assignments
from scheduler.store.parcels import lease_parcels
from workers.desk import Desk
from workers.failover import DONE, Past, next_step, past
from workers.flush import Batch, Flushed, Next, flush, post_late, was_done
from workers.inhand import InHand, Noted, Outcome, Trouble, Turn, Verdict
from workers.prepare import prepare
from workers.settle import account
from workers.supply import Supply

LOG = structlog.get_logger()

PARCELS_MOST = 16
"""Parcels leased at once: enough that a slow offer's do not keep the others waiting."""
PARCEL_JOBS = 256
"""About how many jobs a parcel has."""
TEXT_BYTES_MOST = 32 * 1024 * 1024
"""Texts read for one flush."""
LET_GO = Verdict(state=JobState.PLANNED)
"""The job stays with its parcel, which is given back."""

NewIds = Callable[[int], list[UUID]]


class Drain:
    """One run through a provider's ready parcels, for as long as there are any.

    It lives on the event loop; only `_write` and what it calls run in a thread, on values that
    nobody changes meanwhile.
    """

    def __init__(self, desk: Desk, *, provider_id: int, provider: str, new_ids: NewIds) -> None:
        self._desk = desk
        self._provider_id = provider_id
        self._log = LOG.bind(provider=provider, worker=desk.place.worker)
        self._new_ids = new_ids
        self._left: dict[Lease, int] = {}
        self._supplies: dict[int, Supply] = {}
        self._turns: list[Turn] = []
        self._due = asyncio.Event()
        self._wrote_at = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, *, for_s: float) -> None:
        """Work until no parcel is ready, or for *for_s* and as long as those in hand take."""
        ends_at = time.monotonic() + for_s
        stopped = asyncio.create_task(self._when_stopped())
        try:
            while True:
                if time.monotonic() < ends_at and not self._desk.stopping.is_set():
                    await self._lease()
                if self._desk.stopping.is_set():
                    return await self._stop()
                if not self._left and not self._turns and not self._out:
                    return None
                await self._until_due()
                await self._cycle()
        finally:
            stopped.cancel()

    # Called by channels, on the loop.

    def returned(self, outcome: Outcome) -> None:
        """Take the outcome of one of this drain's calls."""
        hand = outcome.noted.hand
        self._supplies[outcome.noted.option.offer_id].out -= 1
        self._add(Turn(hand=hand, outcome=outcome, verdict=self._verdict(hand, outcome)))

    def _add(self, turn: Turn) -> None:
        self._turns.append(turn)
        if len(self._turns) >= self._desk.policy.flush_jobs or self._is_due():
            self._due.set()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._desk.policy.flush_s, self._due.set)

    def _is_due(self) -> bool:
        """Whether an offer is about to have nothing to do, or nothing is left to wait for."""
        return not self._out or any(supply.wants_more() for supply in self._supplies.values())

    @property
    def _out(self) -> int:
        return sum(supply.out for supply in self._supplies.values())

    def _verdict(self, hand: InHand, outcome: Outcome) -> Verdict:
        if outcome.trouble is None:
            return DONE
        if outcome.trouble is Trouble.UNSENT or self._desk.stopping.is_set():
            return LET_GO
        purse, _ = account(hand, outcome)
        return self._next(past(hand, purse=purse, trouble=outcome.trouble))

    def _next(self, so_far: Past) -> Verdict:
        return next_step(so_far, why_not=self._desk.why_not, policy=self._desk.policy)

    # Taking parcels.

    async def _lease(self) -> None:
        fresh = sum(len(supply.fresh) for supply in self._supplies.values())
        idle = any(not supply.fresh for supply in self._supplies.values())
        if len(self._left) >= PARCELS_MOST or (fresh >= self._desk.policy.flush_jobs and not idle):
            return
        wanted = max(1, (self._desk.policy.flush_jobs - fresh) // PARCEL_JOBS)
        found = await self._desk.in_database(lambda conn: self._take_parcels(conn, wanted))
        if not found:
            return
        await self._desk.learn()
        for lease, jobs in found:
            self._left[lease] = len(jobs)
            self._log.info(
                "took a parcel", parcel=lease.parcel_id, attempt=lease.attempt, jobs=len(jobs)
            )
            for job in jobs:
                self._begin(in_hand(job))

    def _take_parcels(self, conn: Connection, wanted: int) -> list[tuple[Lease, list[Assignment]]]:
        leased = lease_parcels(
            conn,
            provider_id=self._provider_id,
            worker=self._desk.place.worker,
            limit=wanted,
            lease=timedelta(seconds=self._desk.policy.lease_s),
        )
        jobs = defaultdict(list)
        for job in read_assignments(conn, leased):
            jobs[job.lease].append(job)
        return [(held.lease, jobs[held.lease]) for held in leased]

    def _begin(self, hand: InHand) -> None:
        # What the plan chose is called, as a rule; only else is the choice worked out again.
        if hand.troubles or hand.attempts or self._desk.why_not(hand.option):
            self._place(hand)
        else:
            self._queue(hand)

    def _place(self, hand: InHand) -> None:
        """Put *hand* where its next option is called, or end it here."""
        verdict = self._next(past(hand))
        if verdict.option is None:
            self._add(Turn(hand=hand, verdict=verdict))
            return
        hand.option = verdict.option
        self._queue(hand)

    def _queue(self, hand: InHand) -> None:
        offer_id = hand.option.offer_id
        if offer_id not in self._supplies:
            share = min(self._desk.policy.concurrency, self._desk.channel(offer_id).share)
            self._supplies[offer_id] = Supply(share=share, most=self._desk.policy.flush_jobs)
        self._supplies[offer_id].fresh.append(hand)

    # Writing.

    async def _until_due(self, *, at_most_s: float = float("inf")) -> None:
        if not self._is_due():
            renew_s = self._wrote_at + self._desk.policy.lease_s / 3 - time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(renew_s, at_most_s)):
                    await self._due.wait()
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _cycle(self, *, is_last: bool = False) -> None:
        nexts = await self._nexts()
        turns, self._turns = self._turns, []
        batch = self._batch(turns, nexts, is_last=is_last)
        flushed = await self._write(batch)
        self._wrote_at = time.monotonic()
        self._desk.set_clock(flushed.at)
        self._apply(batch, flushed)
        await self._post_late(batch, flushed)
        await self._desk.share_breakers()

    async def _nexts(self) -> list[Next]:
        hands = self._hands_to_note()
        if not hands:
            return []
        prepared = await self._desk.in_database(lambda conn: prepare(conn, hands))
        self._turns += prepared.turns
        ids = self._new_ids(len(prepared.prompts))
        return [
            Next(
                hand=hand,
                id=new_id,
                system=prompt.system,
                prompt=prompt.user,
                prompt_version=prompt.version,
                prompt_digest=prompt.digest,
                asked_nusd=hand.purse.lacks(hand.option.reserved_nusd),
            )
            for new_id, (hand, prompt) in zip(ids, prepared.prompts, strict=True)
        ]

    def _hands_to_note(self) -> list[InHand]:
        """The jobs whose calls are to be noted now: as many as their offers can soon take."""
        if self._desk.stopping.is_set():
            return []
        hands: list[InHand] = []
        size = 0
        for supply in list(self._supplies.values()):
            for hand in supply.take():
                if self._desk.why_not(hand.option) is not None:
                    self._place(hand)
                elif hands and size + hand.job.document_bytes > TEXT_BYTES_MOST:
                    supply.fresh.append(hand)
                else:
                    hands.append(hand)
                    size += hand.job.document_bytes
        return hands

    def _batch(self, turns: list[Turn], nexts: list[Next], *, is_last: bool) -> Batch:
        over = Counter(
            turn.hand.job.lease for turn in turns if turn.verdict.state is not JobState.PLANNED
        )
        finished = [lease for lease, left in self._left.items() if over[lease] == left]
        return Batch(
            leases=list(self._left),
            turns=turns,
            nexts=nexts,
            finished=finished,
            released=[lease for lease in self._left if lease not in finished] if is_last else [],
        )

    async def _write(self, batch: Batch) -> Flushed:
        """Write *batch*, once, however often Postgres has to be asked."""
        house = self._desk.house()
        done: list[Flushed] = []

        def write(conn: Connection) -> Flushed:
            # It came to the commit before, and nobody said whether that was heard.
            if done and was_done(conn, batch):
                return done[0]
            done[:] = [flush(conn, batch, house)]
            return done[0]

        return await self._desk.in_database(write)

    def _apply(self, batch: Batch, flushed: Flushed) -> None:
        """Change what is in hand to what the database now says."""
        for hand, purse in flushed.settled.purses:
            hand.purse = purse
        for turn in batch.turns:
            if turn.hand.job.lease in flushed.standing:
                self._settled(turn)
        for noted, granted_nusd in flushed.noted:
            self._send(noted, granted_nusd)
        for one in flushed.too_dear:
            one.hand.troubles.append((one.hand.option, Trouble.TOO_DEAR))
            self._place(one.hand)
        self._let_go_of(set(batch.leases) - flushed.standing, "lost a lease")
        self._let_go_of({*batch.finished, *batch.released} & flushed.standing, "left a parcel")
        for channel in self._desk.channels():
            channel.pump()

    def _settled(self, turn: Turn) -> None:
        hand, verdict = turn.hand, turn.verdict
        if turn.outcome is not None and turn.outcome.trouble is not None:
            hand.troubles.append((turn.outcome.noted.option, turn.outcome.trouble))
        if verdict.state is not JobState.PLANNED:
            self._left[hand.job.lease] -= 1
        elif verdict.option is not None:
            hand.option = verdict.option
            self._queue(hand)

    def _send(self, noted: Noted, granted_nusd: int) -> None:
        if granted_nusd:
            noted.hand.purse = noted.hand.purse.filled(granted_nusd)
        noted.hand.attempts += 1
        offer_id = noted.option.offer_id
        self._supplies[offer_id].out += 1
        self._desk.channel(offer_id).put(noted, self._desk.price(noted.option), self)

    def _let_go_of(self, leases: set[Lease], why: str) -> None:
        if not leases:
            return
        for lease in leases:
            self._log.info(why, parcel=lease.parcel_id, attempt=lease.attempt)
            del self._left[lease]
        for supply in self._supplies.values():
            supply.fresh = deque(hand for hand in supply.fresh if hand.job.lease not in leases)

    async def _post_late(self, batch: Batch, flushed: Flushed) -> None:
        """Post what is known of calls whose parcel another worker has by now."""
        late = [turn for turn in batch.turns if turn.hand.job.lease not in flushed.standing]
        if not late:
            return
        worker = self._desk.place.worker
        posted = await self._desk.in_database(lambda conn: post_late(conn, late, by=worker))
        self._log.warning("answers came too late; their bills are posted", posted=posted)

    # Stopping.

    async def _when_stopped(self) -> None:
        await self._desk.stopping.wait()
        self._due.set()

    async def _stop(self) -> None:
        """Settle what is finished, wait a while for what is under way, give back the rest."""
        reason = "the worker was told to stop"
        ends_at = time.monotonic() + self._desk.policy.stop_s
        for channel in self._desk.channels():
            channel.withdraw(self, reason)
        while self._out and time.monotonic() < ends_at:
            await self._until_due(at_most_s=ends_at - time.monotonic())
            await self._cycle()
        for channel in self._desk.channels():
            channel.abandon(self, reason)
        if self._left or self._turns:
            await self._cycle(is_last=True)


def in_hand(job: Assignment) -> InHand:
    """*job* as a worker begins with it, knowing what was tried before under the same plan."""
    troubles: list[tuple[Option, Trouble]] = []
    if job.tried:
        by_name = {(option.offer_id, option.reduction): option for option in job.options()}
        for one in job.tried:
            option, trouble = by_name.get((one.offer_id, one.reduction)), trouble_of(one.error)
            if option is not None and trouble is not None:
                troubles.append((option, trouble))
    return InHand(
        job=job,
        purse=job.purse,
        option=job.chosen,
        attempts=job.attempts,
        troubles=troubles,
    )


def trouble_of(error: str) -> Trouble | None:
    """The trouble that a stored *error* begins with; None where it was none of the offer's."""
    word = error.partition(":")[0]
    known = word in tuple(Trouble) and word != Trouble.UNSENT
    return Trouble(word) if known else None
