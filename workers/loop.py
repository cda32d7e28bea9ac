"""The event loop that calls are made on: uvloop's, where that is to be had."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """What *main* gives, run on a loop of its own as `asyncio.run` would."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        # No wheel of it for this platform: the same calls, at a higher price each.
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
