"""Waiting for something that another process does, until a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long a test waits for what takes a second: the machine may be new, and busy."""


def eventually(
    look: Callable[[], T], *, what: str, within_s: float = PATIENCE_S, every_s: float = 0.02
) -> T:
    """The first true value that *look* gives; fails the test when there is none in time.

    *look* must not raise; *what* completes the sentence "waited 5 s for ...".
    """
    deadline = time.monotonic() + within_s
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within_s:g} s for {what}; last saw {seen!r}")
        time.sleep(every_s)
