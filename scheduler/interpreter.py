"""How Python is set in a process that holds many jobs at once, or works beside those that do."""

import gc
import os
import sys

THRESHOLDS = (200_000, 10, 10)
"""Objects made between collections: jobs in hand are many, and hold no cycles.

With Python's own figures a sixth of a worker's time, and more of intake's, goes into looking at
them.  So many are those of the jobs that a worker has in hand at full speed: most are gone before
anybody looks.
"""

LEFT_BYTES_MAX = 64 * 1024 * 1024
"""So much may be kept by cycles before they are looked for."""

TURN_S = 0.0005
"""How long one thread may keep another waiting that has an answer of Postgres to read.

Who stores asks Postgres one thing after another, and needs the interpreter briefly in between; with
Python's own 5 ms it waits for its turns, and Postgres with it.  Shorter ones are lost in changing
places.
"""

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""Set by whoever wants another number; numpy reads it when it is imported."""


def calculate_on_one_core() -> None:
    """Let numpy have one thread, if nobody said how many and it is not imported yet.

    Its threads wait for each other by spinning: beside a service that kept two cores busy,
    learning took 126 s with two of them and 72 s with one, and intake and plans waited longer.
    """
    os.environ.setdefault(BLAS_THREADS, "1")


def collect_rarely() -> None:
    """Collect less often from now on, and never look at what is there already."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


class Leftovers:
    """Counts what cycles keep, for whoever leaves some: few objects may hold much memory."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, size: int) -> None:
        """A cycle keeps *size* more bytes."""
        self._bytes += size
        if self._bytes >= LEFT_BYTES_MAX:
            self._bytes = 0
            # All generations: what was still in use at the last collection is of the second.
            gc.collect()


def take_short_turns() -> None:
    """Let a thread that waits for the interpreter have it soon."""
    sys.setswitchinterval(TURN_S)
