"""What a call has under way: awaited once, failures told once, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from gateway.errors import GatewayError

log = structlog.get_logger()


async def together(*work: Coroutine[Deferred[Any], Any, Any]) -> list[Any]:
    """All of it at once, and what each gave.

    The first failure is raised, what else fails is dropped.
    """
    waiting = gatherResults([Deferred.fromCoroutine(w) for w in work], consumeErrors=True)
    try:
        return list(await waiting)
    except FirstError as e:
        e.subFailure.raiseException()


class Tasks:
    """``failed`` is told of the first failure of each task that is not a cancellation."""

    def __init__(self, call: str, failed: Callable[[BaseException], None]) -> None:
        self._call = call
        self._failed = failed
        self._running: set[Deferred[Any]] = set()

    def run(self, what: str, work: Coroutine[Deferred[Any], Any, Any]) -> None:
        task: Deferred[Any] = Deferred.fromCoroutine(work)
        self._running.add(task)

        def done(result: object) -> None:
            self._running.discard(task)
            if not isinstance(result, Failure):
                return
            error = result.value
            if error is None or isinstance(error, CancelledError):
                return
            if isinstance(error, GatewayError):
                log.warning("task_failed", call=self._call, task=what, error=str(error))
            else:
                trace = result.getTraceback()
                log.error("task_broke", call=self._call, task=what, traceback=trace)
            self._failed(error)

        task.addBoth(done)

    def cancel(self) -> None:
        """Stop what is still under way; nothing is told."""
        for task in tuple(self._running):
            task.cancel()

    def __len__(self) -> int:
        return len(self._running)
