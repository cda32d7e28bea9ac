"""Takes a provider's parcels, one after another, and works them off."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import Connection

from scheduler.domain.job import JobState
from scheduler.domain.work import Lease
from workers.desk import Desk
from workers.failover import DONE, past
from workers.flush import Batch, Flushed, Next, flush, post_late, was_done
from workers.inhand import InHand, Noted, Outcome, Trouble, Turn, Verdict
from workers.prompts import Prompt
from workers.settle import account
from workers.sharing import ASK_S
from workers.stock import LET_GO, Stock

LOG = structlog.get_logger()

NewIds = Callable[[int], list[str]]


class Drain:
    """One run through a provider's ready parcels, for as long as there are any.

    Three things go on at once: calls, one flush that settles what they brought and notes the
    next ones, and the leasing and reading of what comes after.  It lives on the event loop;
    only what is done in the database runs in threads, on values that nobody changes meanwhile.
    """

    def __init__(self, desk: Desk, *, provider_id: int, provider: str, new_ids: NewIds) -> None:
        self._desk = desk
        self._policy = desk.policy
        self._log = LOG.bind(provider=provider, worker=desk.place.worker)
        self._new_ids = new_ids
        self._stock = Stock(desk, provider_id=provider_id, log=self._log, ended=self._add)
        self._turns: list[Turn] = []
        self._oldest_at = 0.0
        self._wrote_at = time.monotonic()
        self._news = asyncio.Event()
        self._leasing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._leases_until = 0.0
        self._is_open = False

    async def run(self, *, for_s: float) -> None:
        """Work until no parcel is ready, or for *for_s* and as long as those in hand take."""
        self._leases_until = time.monotonic() + for_s
        self._is_open = True
        sharing = self._desk.sharing
        sharing.users.append(self._stock)
        stopped = asyncio.create_task(self._when_stopped())
        try:
            while not self._desk.stopping.is_set():
                self._feed()
                if self._is_due():
                    await self._cycle()
                elif self._is_over():
                    break
                else:
                    await self._wait(at_most_s=ASK_S)
                    await sharing.ask()
            if self._desk.stopping.is_set():
                await self._stop()
        finally:
            self._is_open = False
            stopped.cancel()
            sharing.users.remove(self._stock)
            # There are some only where this ends in an error: nobody would take their answers.
            self._withdraw("nobody is left to settle it")
        # What is not given up here, others have only when the claim has run out.
        await sharing.ask(at_once=True)

    # Called by channels, on the loop.

    def returned(self, outcome: Outcome) -> None:
        """Take the outcome of one of this drain's calls."""
        hand = outcome.noted.hand
        supply = self._stock.supplies[outcome.noted.option.offer_id]
        supply.out -= 1
        turn = Turn(hand, self._verdict(hand, outcome), outcome)
        self._add(turn, is_short=supply.out == 0 or supply.wants_more())

    def _add(self, turn: Turn, *, is_short: bool = False) -> None:
        """Settle *turn* with the next flush, which an offer that *is_short* of calls may need."""
        if not self._turns:
            self._oldest_at = time.monotonic()
        self._turns.append(turn)
        # After every call, so only what a call can change is looked at; `run` looks at all.  The
        # first turn says until when the others may be waited for.
        if is_short or len(self._turns) in (1, self._policy.flush_jobs):
            self._news.set()

    def _verdict(self, hand: InHand, outcome: Outcome) -> Verdict:
        if outcome.trouble is None:
            return DONE
        if outcome.trouble is Trouble.UNSENT or self._desk.stopping.is_set():
            return LET_GO
        purse, _ = account(hand.purse, outcome)
        return self._stock.next_step(past(hand, purse=purse, trouble=outcome.trouble))

    # When to do what.

    def _feed(self) -> None:
        """See to it that more is leased, and more is read, beside all else, where little is left.

        Neither waits for the other: what is leased already can be read, noted and called.
        """
        stock = self._stock
        is_short = time.monotonic() < self._leases_until and stock.wants_parcels()
        self._leasing = self._beside(self._leasing, stock.lease, is_wanted=is_short)
        self._reading = self._beside(self._reading, stock.read, is_wanted=stock.wants_texts())

    def _fed(self, _: asyncio.Task[None]) -> None:
        """Go on feeding now that something was leased or read, though a flush is under way.

        What went wrong is raised in `run`, and not in a callback, where nobody would hear of it.
        """
        self._news.set()
        may_go_on = self._is_open and not self._desk.stopping.is_set()
        if may_go_on and not any(map(_went_wrong, (self._leasing, self._reading))):
            self._feed()

    def _beside(
        self,
        task: asyncio.Task[None] | None,
        work: Callable[[], Coroutine[Any, Any, None]],
        *,
        is_wanted: bool,
    ) -> asyncio.Task[None] | None:
        """*task* while it goes on; after that the one that does *work*, if it *is_wanted*."""
        if task is not None:
            if not task.done():
                return task
            task.result()
        if not is_wanted:
            return None
        task = asyncio.create_task(work())
        task.add_done_callback(self._fed)
        return task

    def _is_due(self) -> bool:
        """Whether to write now, and not wait for more to be written with it."""
        now = time.monotonic()
        if self._turns and (
            len(self._turns) >= self._policy.flush_jobs
            or not self._stock.out
            or now >= self._oldest_at + self._policy.flush_s
        ):
            return True
        left = self._stock.left.values()
        is_quiet = now >= self._wrote_at + self._policy.lease_s / 3
        # A parcel may have nothing left as it is leased: its last worker died settling it.
        return self._stock.wants_more() or 0 in left or (bool(left) and is_quiet)

    def _is_over(self) -> bool:
        held = self._stock.left or self._turns or self._stock.out or self._stock.waiting
        return not held and self._leasing is None and self._reading is None

    async def _wait(self, *, at_most_s: float = float("inf")) -> None:
        """Wait for news, or for the time of the next flush or renewal."""
        until = self._wrote_at + self._policy.lease_s / 3
        if self._turns:
            until = min(until, self._oldest_at + self._policy.flush_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(until - time.monotonic(), at_most_s)):
                await self._news.wait()
        self._news.clear()

    # Writing.

    async def _cycle(self, *, is_last: bool = False) -> None:
        hurried = time.monotonic() < self._wrote_at + self._policy.flush_s
        stopping = self._desk.stopping.is_set()
        nexts = []
        if not stopping:
            nexts = self._nexts(self._stock.take(hurried=hurried))
            # What was taken can be made up for while this is written.
            self._feed()
        turns, self._turns = self._turns, []
        batch = self._batch(turns, nexts, is_last=is_last)
        flushed = await self._write(batch)
        self._wrote_at = time.monotonic()
        self._desk.set_clock(flushed.at)
        self._apply(batch, flushed)
        await self._post_late(batch, flushed)
        await self._desk.keep_up()
        self._stock.is_dry = False

    def _nexts(self, taken: list[tuple[InHand, Prompt]]) -> list[Next]:
        return [
            Next(hand, new_id, prompt, hand.purse.lacks(hand.option.reserved_nusd))
            for new_id, (hand, prompt) in zip(self._new_ids(len(taken)), taken, strict=True)
        ]

    def _batch(self, turns: list[Turn], nexts: list[Next], *, is_last: bool) -> Batch:
        over = Counter(
            turn.hand.job.lease for turn in turns if turn.verdict.state is not JobState.PLANNED
        )
        left = self._stock.left
        finished = [lease for lease, jobs in left.items() if over[lease] == jobs]
        return Batch(
            leases=list(left),
            turns=turns,
            nexts=nexts,
            finished=finished,
            released=[lease for lease in left if lease not in finished] if is_last else [],
        )

    async def _write(self, batch: Batch) -> Flushed:
        """Write *batch*, once, however often Postgres has to be asked."""
        house = self._desk.house()
        done: list[Flushed] = []

        def write(conn: Connection) -> Flushed:
            # It came to the commit before, and nobody said whether that was heard.
            if done and was_done(conn, batch, done[0]):
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
        for offer_id, count in Counter(noted.option.offer_id for noted, _ in flushed.noted).items():
            self._stock.supplies[offer_id].noted(count)
        for noted, granted_nusd in flushed.noted:
            self._send(noted, granted_nusd)
        for one in flushed.too_dear:
            one.hand.troubles.append((one.hand.option, Trouble.TOO_DEAR))
            self._stock.place(one.hand)
        lost = set(batch.leases) - flushed.standing
        self._drop(lost, "lost a lease")
        if lost:
            # Another worker makes them anew; what is under way is paid for already.
            self._withdraw("its parcel is another worker's", leases=lost)
        self._drop({*batch.finished, *batch.released} & flushed.standing, "left a parcel")
        for channel in self._desk.channels():
            channel.pump()

    def _settled(self, turn: Turn) -> None:
        hand, verdict = turn.hand, turn.verdict
        if turn.outcome is not None and turn.outcome.trouble is not None:
            hand.troubles.append((turn.outcome.noted.option, turn.outcome.trouble))
        if verdict.state is not JobState.PLANNED:
            self._stock.left[hand.job.lease] -= 1
        elif verdict.option is not None:
            hand.option = verdict.option
            self._stock.queue(hand)

    def _send(self, noted: Noted, granted_nusd: int) -> None:
        if granted_nusd:
            noted.hand.purse = noted.hand.purse.filled(granted_nusd)
        noted.hand.attempts += 1
        offer_id = noted.option.offer_id
        self._desk.channel(offer_id).put(noted, self._desk.price(noted.option), self)

    def _drop(self, leases: set[Lease], why: str) -> None:
        for lease in leases:
            self._log.info(why, parcel=lease.parcel_id, attempt=lease.attempt)
        if leases:
            self._stock.drop(leases)

    def _withdraw(self, reason: str, *, leases: set[Lease] | None = None) -> None:
        """Take back calls that are noted and not yet sent; of *leases*, or all."""
        for channel in self._desk.channels():
            channel.withdraw(self, reason, leases=leases)

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
        self._news.set()

    async def _stop(self) -> None:
        """Settle what is finished, wait a while for what is under way, give back the rest."""
        reason = "the worker was told to stop"
        ends_at = time.monotonic() + self._policy.stop_s
        for task in (self._leasing, self._reading):
            if task is not None:
                await task
        self._withdraw(reason)
        while self._stock.out and time.monotonic() < ends_at:
            if self._is_due():
                await self._cycle()
            else:
                await self._wait(at_most_s=ends_at - time.monotonic())
        for channel in self._desk.channels():
            channel.abandon(self, reason)
        if self._stock.left or self._turns:
            await self._cycle(is_last=True)


def _went_wrong(task: asyncio.Task[None] | None) -> bool:
    if task is None or not task.done():
        return False
    return task.cancelled() or task.exception() is not None
