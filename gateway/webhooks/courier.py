"""Takes events to one receiver: in order within a call, again and again for a day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog
from twisted.internet.defer import CancelledError, Deferred

from gateway.calls.event_ports import EventQueue, QueuedEvent, WebhookMeters
from gateway.calls.ports import Clock, DelayedCall
from gateway.errors import StoreUnavailable
from gateway.webhooks.posting import Undelivered

log = structlog.get_logger()

FIRST_S: Final = 1.0
LONGEST_S: Final = 600.0
LIFE_S: Final = 86_400.0
STORE_S: Final = 5.0
"""Until the database is asked again that did not answer."""


class Post(Protocol):
    async def post(self, event: QueuedEvent) -> None: ...


def backoff_s(attempts: int, chance: float) -> float:
    """After so many failures; ``chance`` (0 to 1) spreads those that failed together."""
    return float(min(LONGEST_S, FIRST_S * 2 ** min(attempts, 20)) * (0.5 + chance / 2))


class Courier:
    """At most ``concurrency`` deliveries at a time, each of another lane."""

    def __init__(
        self,
        receiver: str,
        concurrency: int,
        queue: EventQueue,
        poster: Post,
        clock: Clock,
        meters: WebhookMeters,
        chance: Callable[[], float],
    ) -> None:
        self._receiver = receiver
        self._concurrency = concurrency
        self._queue = queue
        self._poster = poster
        self._clock = clock
        self._meters = meters
        self._chance = chance
        self._under_way: dict[int, Deferred[None]] = {}
        self._timer: DelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._again = self._stopped = False

    def wake(self) -> None:
        """Something may be due."""
        if self._stopped:
            return
        if self._looking is not None:
            self._again = True
            return
        self._looking = Deferred.fromCoroutine(self._look())
        self._looking.addBoth(self._looked)

    def stop(self) -> None:
        """What is under way is cut off; it is still in the queue."""
        self._stopped = True
        self._disarm()
        for work in (self._looking, *self._under_way.values()):
            if work is not None:
                work.cancel()

    async def _look(self) -> None:
        self._again = False
        now = self._clock.seconds()
        free = self._concurrency - len(self._under_way)
        try:
            if free <= 0:
                return  # the end of a delivery looks again
            for event in await self._queue.due(self._receiver, now, free, [*self._under_way]):
                self._begin(event)
            due_at = await self._queue.next_due(self._receiver, [*self._under_way])
        except StoreUnavailable:
            due_at = now + STORE_S
        if due_at is not None and len(self._under_way) < self._concurrency:
            self._arm(max(0.0, due_at - self._clock.seconds()))

    def _looked(self, result: object) -> None:
        self._looking = None
        if isinstance(getattr(result, "value", None), CancelledError):
            return
        if hasattr(result, "getTraceback"):
            log.error("webhook_broke", receiver=self._receiver, traceback=result.getTraceback())
            self._arm(STORE_S)
        elif self._again:
            self.wake()

    def _begin(self, event: QueuedEvent) -> None:
        work = Deferred.fromCoroutine(self._deliver(event))
        if not work.called:
            self._under_way[event.seq] = work

        def over(result: object) -> None:
            self._under_way.pop(event.seq, None)
            if hasattr(result, "getTraceback") and not self._stopped:
                log.error("webhook_broke", receiver=self._receiver, traceback=result.getTraceback())
                self._arm(STORE_S)
            else:
                self.wake()

        work.addBoth(over)

    async def _deliver(self, event: QueuedEvent) -> None:
        try:
            await self._poster.post(event)
        except Undelivered as e:
            if self._stopped:
                return
            self._meters.webhook_tried(self._receiver, "failed")
            await self._failed(event, str(e))
            return
        self._meters.webhook_tried(self._receiver, "delivered")
        await self._queue.done(event, self._clock.seconds())

    async def _failed(self, event: QueuedEvent, why: str) -> None:
        now = self._clock.seconds()
        due_at = now + backoff_s(event.attempts, self._chance())
        told = {"receiver": self._receiver, "id": event.event, "kind": event.kind, "why": why}
        if due_at <= event.created_at + LIFE_S:
            log.warning("webhook_failed", **told, attempts=event.attempts + 1)
            await self._queue.retry(event, due_at)
            return
        log.error("webhook_dead", **told, attempts=event.attempts + 1)
        self._meters.webhook_lost(self._receiver, "dead", 1)
        await self._queue.done(event, now)

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        if not self._stopped:
            self._timer = self._clock.callLater(delay_s, self.wake)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
