"""A process's threads, kept on one processor for as long as none of them has to wait for that."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog

LOG = structlog.get_logger()

LOOK_S = 0.5
"""How often a process looks whether its threads are better off together."""
BUSY_LEAST, BUSY_MOST = 0.5, 1.0
"""Together are threads that use so much of a processor; what uses more than one needs more."""
IDLE_MOST = 0.25
"""Below this they are let go again."""
OTHERS_MOST = 0.15
"""They are let go, too, where other processes keep them waiting for more of the time."""
PAUSE_FIRST_S, PAUSE_MOST_S = 2.0, 60.0
"""How long they are then apart: twice as long each time, while they are not together for long."""
LONG_S = 10.0
_TASKS = Path("/proc/self/task")


class Times(NamedTuple):
    """Of one thread: seconds on a processor, and seconds of waiting for one."""

    ran: float
    waited: float


@dataclass(slots=True)
class Gathering:
    """Decides when threads are to be together, by how they did since the last look.

    Attributes:
        is_on: whether they are.
        apart_until: they are apart until then at least.
        pause_s: how long they are apart when others keep them waiting again.
        since: when they were gathered, or looked at in vain.
    """

    is_on: bool = False
    apart_until: float = 0.0
    pause_s: float = PAUSE_FIRST_S
    since: float = 0.0

    def look(self, now: float, *, span_s: float, lead: Times, others_ran: float) -> bool:
        """Whether they are to be together from *now* on.

        *lead* is of the thread that does most, *others_ran* of all others of the process; both for
        the *span_s* before *now*.
        """
        busy = (lead.ran + others_ran) / span_s
        # The lead waits for its own process's threads, too, whose turn it is.
        kept_waiting = (lead.waited - others_ran) / span_s
        if not self.is_on:
            self.is_on = now >= self.apart_until and BUSY_LEAST <= busy <= BUSY_MOST
            self.since = now
        elif kept_waiting > OTHERS_MOST:
            self.is_on = False
            if now - self.since > LONG_S:
                self.pause_s = PAUSE_FIRST_S
            self.apart_until = now + self.pause_s
            self.pause_s = min(2 * self.pause_s, PAUSE_MOST_S)
        elif busy < IDLE_MOST:
            self.is_on = False
        return self.is_on


class Threads:
    """This process's threads, of which the one that makes this is the lead.

    One thread of Python's runs at a time.  Where they are on two processors, each turn wakes the
    other one, and moves to it what both have touched: a fifth of a worker's time.
    """

    def __init__(self, now: float, *, times: Callable[[], dict[int, Times]]) -> None:
        self._allowed = os.sched_getaffinity(0)
        self._gathering = Gathering()
        self._times = times
        self._at, self._before = now, times()

    def look(self, now: float) -> None:
        """Gather them, or let them go, as is better; called by the lead, now and then."""
        times = self._times()
        passed = {
            thread: Times(one.ran - before.ran, one.waited - before.waited)
            for thread, one in times.items()
            for before in [self._before.get(thread, Times(0, 0))]
        }
        span_s, self._at, self._before = now - self._at, now, times
        lead = passed.pop(threading.get_native_id())
        was_on = self._gathering.is_on
        is_on = self._gathering.look(
            now, span_s=span_s, lead=lead, others_ran=sum(one.ran for one in passed.values())
        )
        if is_on != was_on:
            _place(times, {_processor()} if is_on else self._allowed)

    def let_go(self) -> None:
        """Leave them to the system, as they were."""
        _place(self._times(), self._allowed)


async def gather_threads() -> None:
    """Keep this process's threads together while that is better, until cancelled.

    The loop's is their lead.  Where the system does not tell how threads do, nothing is done.
    """
    try:
        threads = Threads(time.monotonic(), times=thread_times)
    except (OSError, AttributeError):
        LOG.debug("threads are left to the system, which does not tell how they do")
        return
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            threads.look(time.monotonic())
    except OSError as error:
        LOG.debug("threads are left to the system", error=str(error))
    finally:
        with suppress(OSError):
            threads.let_go()


def thread_times() -> dict[int, Times]:
    """How this process's threads did so far, by their native ids; Linux tells.

    Raises:
        OSError: this system does not.
    """
    found = {}
    for thread in _TASKS.iterdir():
        try:
            ran_ns, waited_ns, _ = (thread / "schedstat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            if int(thread.name) == threading.get_native_id():
                raise
            # It ended just now.
            continue
        found[int(thread.name)] = Times(int(ran_ns) / 1e9, int(waited_ns) / 1e9)
    return found


def _place(threads: Iterable[int], processors: Collection[int]) -> None:
    for thread in threads:
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread, processors)


def _processor() -> int:
    """The one on which this thread runs."""
    # Behind the name, which may have spaces and brackets, the 37th field.
    return int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
