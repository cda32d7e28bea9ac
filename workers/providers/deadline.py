"""A time limit that many calls share."""

import asyncio
from typing import Any


class Deadline:
    """As `asyncio.timeout`, for any number of tasks at once that all have *limit_s*.

    They end in the order in which they began, so one timer does for all of them: one for each
    call is a twentieth of what a call costs here.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._ends_at: dict[asyncio.Task[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[Any]:
        """Cancel the task that calls this, and is returned, in `limit_s`; `end` must follow."""
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        self._ends_at[task] = ends_at = loop.time() + self.limit_s
        if self._timer is None:
            self._timer = loop.call_at(ends_at, self._ring)
        return task

    def passed(self, task: asyncio.Task[Any]) -> bool:
        """Whether *task*, which was cancelled, was so for its time alone; then it may go on."""
        # Whoever else has cancelled it meanwhile is to have his way.
        return task not in self._ends_at and task.uncancel() == 0

    def end(self, task: asyncio.Task[Any]) -> None:
        """Let *task* be."""
        self._ends_at.pop(task, None)

    def _ring(self) -> None:
        """Cancel those whose time is up, and ring again for the next one."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        for task, ends_at in list(self._ends_at.items()):
            if ends_at > now:
                self._timer = loop.call_at(ends_at, self._ring)
                return
            del self._ends_at[task]
            task.cancel()
