"""How late the reactor is: anything over 50 ms means that something blocked it."""

from __future__ import annotations

from typing import Final

import structlog
from prometheus_client import Histogram
from twisted.internet.task import LoopingCall

from gateway.calls.ports import Clock

log = structlog.get_logger()

EVERY_S: Final = 0.5
DEFECT_S: Final = 0.05


class LagMeter:
    def __init__(self, clock: Clock, histogram: Histogram) -> None:
        self._clock = clock
        self._histogram = histogram
        self._due = 0.0
        self._call = LoopingCall(self._measure)
        self._call.clock = clock  # type: ignore[assignment]  # it is IReactorTime

    def start(self) -> None:
        self._due = self._clock.seconds() + EVERY_S
        self._call.start(EVERY_S, now=False)

    def stop(self) -> None:
        if self._call.running:
            self._call.stop()

    def _measure(self) -> None:
        now = self._clock.seconds()
        lag = max(0.0, now - self._due)
        self._histogram.observe(lag)
        if lag > DEFECT_S:
            log.warning("reactor_lag", lag_ms=round(lag * 1000))
        self._due += EVERY_S
        if self._due <= now:  # beats that were missed are not due any more
            self._due = now + EVERY_S - (now - self._due) % EVERY_S
