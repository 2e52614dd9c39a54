"""Work that goes on until it is stopped."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gateway.calls.ports import Clock

log = structlog.get_logger()


class Ongoing:
    """At most one piece of work; a fault that ends it is logged."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: Deferred[None] | None = None

    def start(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        self._work = Deferred.fromCoroutine(work)
        self._work.addErrback(self._broke)

    def stop(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()

    def _broke(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            log.error("work_broke", work=self._name, traceback=failure.getTraceback())


def wait(clock: Clock, delay_s: float) -> Deferred[None]:
    """Fires after the delay; may be cancelled."""
    timer = clock.callLater(delay_s, lambda: due.callback(None))
    due: Deferred[None] = Deferred(lambda _: timer.cancel())
    return due
