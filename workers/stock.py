"""The jobs that a drain has taken: leased, chosen for, and read, before their calls are noted."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.job import JobState
from scheduler.domain.option import Option
from scheduler.domain.work import Lease
from scheduler.store.assignments import Assignment, read_assignments
from scheduler.store.locks import Duty, alone
from scheduler.store.parcels import Leased, held_parcels, lease_parcels
from scheduler.store.shares import claim, full_offers
from workers.desk import Desk
from workers.failover import Past, next_step, past
from workers.inhand import InHand, Trouble, Turn, Verdict
from workers.prepare import prepare
from workers.prompts import Prompt
from workers.sharing import Shares
from workers.supply import Supply

PARCELS_MOST = 32
"""Parcels held at once: enough that a slow offer's do not keep the others waiting."""
PARCELS_AT_ONCE = 4
"""Parcels leased at once: what comes first is worked on while the next ones are leased."""
PARCEL_JOBS = 256
"""About how many jobs a parcel has."""
TEXTS_MOST = 512
"""Texts read at once: what comes first is called while the next ones are read."""
TEXT_BYTES_MOST = 16 * 1024 * 1024
"""The same in bytes."""


class Stock:
    """A drain's jobs, by the offer that each is bound for; lives on the event loop.

    *ended* is called with the turn of a job for which nothing can be called.
    """

    def __init__(
        self, desk: Desk, *, provider_id: int, log: Any, ended: Callable[[Turn], None]
    ) -> None:
        self.left: dict[Lease, int] = {}
        self.supplies: dict[int, Supply] = {}
        # The last look for a parcel found none; the next one is after the next flush.
        self.is_dry = False
        self._leased_offers: set[int] = set()
        self._desk = desk
        self._provider_id = provider_id
        self._log = log
        self._ended = ended

    @property
    def out(self) -> int:
        """Calls noted, whose outcome is not yet here."""
        return sum(supply.out for supply in self.supplies.values())

    @property
    def waiting(self) -> int:
        """Jobs whose next call is not yet noted."""
        return sum(supply.waiting for supply in self.supplies.values())

    def wants_more(self) -> bool:
        """Whether an offer is about to have nothing to do."""
        return any(supply.wants_more() for supply in self.supplies.values())

    # What `sharing.User` asks for.

    def wanted(self) -> set[int]:
        """The offers for which there are jobs here, or calls that are out."""
        busy = {one for one, supply in self.supplies.items() if supply.waiting or supply.out}
        return busy | self._leased_offers

    def heard(self) -> None:
        """Go by the rooms that there now are; the jobs of an offer that is full go elsewhere."""
        for offer_id, supply in list(self.supplies.items()):
            supply.share = self._share(offer_id)
            if self._desk.sharing.room(offer_id).is_full:
                for hand in supply.leave():
                    self.place(hand)

    # Filling it: `lease` and `read` run beside the flushes and each other, one of each at a time.

    def wants_parcels(self) -> bool:
        """Whether few jobs wait, so that more parcels should be leased."""
        return self._parcels_wanted() > 0

    def wants_texts(self) -> bool:
        """Whether documents should be read for the calls that are next."""
        return any(supply.wants_ready() for supply in self.supplies.values())

    async def lease(self) -> None:
        """Lease parcels, and choose for their jobs."""
        if wanted := self._parcels_wanted():
            await self._lease(wanted)

    async def read(self) -> None:
        """Read the documents of the jobs that are next."""
        hands = self._next_to_read()
        if not hands:
            return
        prepared = await self._desk.in_database(lambda conn: prepare(conn, hands))
        for supply in self.supplies.values():
            supply.being_read = 0
        for turn in prepared.turns:
            self._ended(turn)
        for hand, prompt in prepared.prompts:
            # Its parcel may have been lost meanwhile.
            if hand.job.lease in self.left:
                self.supplies[hand.option.offer_id].ready.append((hand, prompt))

    def _parcels_wanted(self) -> int:
        if self.is_dry:
            return 0
        # Some are read while others are noted, and more are leased while those are read.
        soon = sum(supply.target for supply in self.supplies.values())
        most = max(self._desk.policy.flush_jobs, 2 * soon)
        waiting = self.waiting
        # An offer that is slow must not keep the parcels of the others from being taken.
        idle = any(not supply.waiting for supply in self.supplies.values())
        room = min(PARCELS_MOST - len(self.left), PARCELS_AT_ONCE)
        if room <= 0 or (waiting >= most and not idle):
            return 0
        return min(max(1, (most - waiting) // PARCEL_JOBS), room)

    async def _lease(self, wanted: int) -> None:
        leased = await self._take_parcels(wanted)
        self.is_dry = not leased
        if not leased:
            return
        jobs = defaultdict(list)
        for job in await self._desk.in_database(lambda conn: read_assignments(conn, leased)):
            jobs[job.lease].append(job)
        await self._desk.learn()
        for lease in (held.lease for held in leased):
            self.left[lease] = len(jobs[lease])
            self._log.info(
                "took a parcel",
                parcel=lease.parcel_id,
                attempt=lease.attempt,
                jobs=len(jobs[lease]),
            )
            for job in jobs[lease]:
                self._begin(in_hand(job))
        self._leased_offers = set()

    async def _take_parcels(self, wanted: int) -> list[Leased]:
        """Lease parcels, with a share of what their offers take at a time."""
        sharing = self._desk.sharing
        # Read here: flushes go on beside this, and take leases away.
        known = list(self.left)
        tries = 0

        def take(conn: Connection) -> tuple[list[Leased], Shares, float]:
            nonlocal tries
            tries += 1
            asked_at = time.monotonic()
            # The try before may have been committed, and nobody said so.
            leased = self._lease_parcels(conn, wanted, but=known if tries > 1 else None)
            using = {held.offer_id: used.get(held.offer_id, 0) for held in leased}
            shares = claim(conn, using, **sharing.terms, keeps_others=True)
            return leased, {offer_id: shares[offer_id] for offer_id in using}, asked_at

        async with sharing.changing:
            used = sharing.using()
            leased, shares, asked_at = await self._desk.in_database(take)
            self._leased_offers = set(shares)
            sharing.tell(shares, wanted=shares, asked_at=asked_at)
        return leased

    def _lease_parcels(
        self, conn: Connection, wanted: int, *, but: list[Lease] | None
    ) -> list[Leased]:
        """Those that this worker has already beside *but*, where that is said; else new ones."""
        who: Any = {"provider_id": self._provider_id, "worker": self._desk.place.worker}
        leased: list[Leased] = []
        if but is not None:
            leased = held_parcels(conn, **who, but=but)
        if not leased:
            alone(conn, Duty.SHARING)
            full = full_offers(conn, **self._desk.sharing.terms)
            lease = timedelta(seconds=self._desk.policy.lease_s)
            leased = lease_parcels(conn, **who, limit=wanted, lease=lease, but=full)
        return leased

    def _next_to_read(self) -> list[InHand]:
        hands: list[InHand] = []
        size = 0
        for supply in self.supplies.values():
            for _ in range(supply.wants_ready()):
                size += supply.fresh[0].job.document_bytes
                if hands and (size > TEXT_BYTES_MOST or len(hands) >= TEXTS_MOST):
                    return hands
                hands.append(supply.fresh.popleft())
                supply.being_read += 1
        return hands

    # Choosing.

    def next_step(self, so_far: Past) -> Verdict:
        desk = self._desk
        return next_step(so_far, why_not=desk.why_not, name_of=desk.name_of, policy=desk.policy)

    def _begin(self, hand: InHand) -> None:
        # What the plan chose is called, as a rule; only else is the choice worked out again.
        if hand.troubles or hand.attempts or self._desk.why_not(hand.option):
            self.place(hand)
        else:
            self.queue(hand)

    def place(self, hand: InHand) -> None:
        """Put *hand* where its next option is called, or end it."""
        verdict = self.next_step(past(hand))
        if verdict.option is None:
            self._ended(Turn(hand=hand, verdict=verdict))
            return
        hand.option = verdict.option
        self.queue(hand)

    def queue(self, hand: InHand) -> None:
        """Let *hand* wait for its option's offer."""
        offer_id = hand.option.offer_id
        if offer_id not in self.supplies:
            # What one flush settles is called while what the next one will is noted.
            most = 2 * self._desk.policy.flush_jobs
            self.supplies[offer_id] = Supply(share=self._share(offer_id), most=most)
        self.supplies[offer_id].fresh.append(hand)

    def _share(self, offer_id: int) -> int:
        return min(self._desk.policy.concurrency, self._desk.sharing.room(offer_id).now())

    # Emptying it.

    def take(self, *, hurried: bool) -> list[tuple[InHand, Prompt]]:
        """The jobs whose calls are to be noted now: as many as their offers can soon take."""
        taken: list[tuple[InHand, Prompt]] = []
        now = self._desk.now()
        for supply in list(self.supplies.values()):
            if not hurried:
                supply.shrink()
            for hand, prompt in supply.take():
                if late := _too_late(hand, now=now):
                    self._ended(Turn(hand=hand, verdict=late))
                elif self._desk.why_not(hand.option) is None:
                    taken.append((hand, prompt))
                else:
                    self.place(hand)
        return taken

    def drop(self, leases: Iterable[Lease]) -> None:
        """Forget the jobs of *leases* that wait here."""
        gone = set(leases)
        for lease in gone:
            del self.left[lease]
        for supply in self.supplies.values():
            supply.fresh = deque(hand for hand in supply.fresh if hand.job.lease not in gone)
            supply.ready = deque(one for one in supply.ready if one[0].job.lease not in gone)


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


def _too_late(hand: InHand, *, now: datetime) -> Verdict | None:
    """That *hand*'s job has failed, where no answer is worth anything any more."""
    deadline = hand.job.deadline
    if deadline is None or deadline > now:
        return None
    said = deadline.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    return Verdict(
        state=JobState.FAILED, reason=f"its deadline passed before it was called: it was {said}"
    )


def trouble_of(error: str) -> Trouble | None:
    """The trouble that a stored *error* begins with; None where it was none of the offer's."""
    word = error.partition(":")[0]
    known = word in tuple(Trouble) and word != Trouble.UNSENT
    return Trouble(word) if known else None


LET_GO = Verdict(state=JobState.PLANNED)
"""The job stays with its parcel, which is given back."""
