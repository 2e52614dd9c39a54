"""The order in which one client's requests are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred

Job = Callable[[], Coroutine[Any, Any, None]]

MAX_WAITING: Final = 64


class Lane:
    """One job at a time, first come first served; a job never raises."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._running = False

    def submit(self, job: Job) -> bool:
        """False where too many wait already."""
        if len(self._jobs) >= MAX_WAITING:
            return False
        self._jobs.append(job)
        if not self._running:
            self._running = True
            Deferred.fromCoroutine(self._run())
        return True

    async def _run(self) -> None:
        try:
            while self._jobs:
                await self._jobs.popleft()()
        finally:
            self._running = False

    def clear(self) -> None:
        self._jobs.clear()


class Lanes:
    """Requests are begun in the order in which they came.  Each waits for the end of
    those before it, except for the long ones: these wait only for one another."""

    def __init__(self) -> None:
        self._main = Lane()
        self._long = Lane()
        self._closed = False

    def submit(self, job: Job, *, long: bool, full: Callable[[], None]) -> bool:
        """False where too many wait; ``full`` is called where that is found out later."""
        if self._closed:
            return True
        return self._main.submit(self._begin(job, full) if long else job)

    def _begin(self, job: Job, full: Callable[[], None]) -> Job:
        async def begin() -> None:
            if not self._closed and not self._long.submit(job):
                full()

        return begin

    def close(self) -> None:
        """What waits is not begun any more."""
        self._closed = True
        self._main.clear()
        self._long.clear()
