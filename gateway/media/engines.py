"""The rtpengines that may be used: which are up, and which is least loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from gateway.calls.ports import Clock, DelayedCall
from gateway.errors import NoCapacity
from gateway.media.ng import NgClient, NgRefused, NgSilent

log = structlog.get_logger()


class Engine:
    """One rtpengine.  It is ``up`` from a ping answered until one is missed.

    ``split``: it has the interfaces ``pub`` (browsers) and ``priv`` (workers).
    ``sessions`` counts our own; who opens one adds it and takes it away.
    """

    PING_S: Final = 5.0
    PROBE_FIRST_S: Final = 0.05
    PROBE_LAST_S: Final = 30.0
    PENALTY: Final = 20.0
    """Sessions that one just back from failure seems to have; halved every ``HALVED_S``."""
    HALVED_S: Final = 10.0

    def __init__(self, name: str, clock: Clock, split: bool = False) -> None:
        self.name = name
        self.split = split
        self.sessions = 0
        self.up = False
        self.missed = 0
        """Pings in a row without an answer."""
        self.client: NgClient | None = None
        self.changed: list[Deferred[None]] = []
        self._clock = clock
        self._probe_s = self.PROBE_FIRST_S
        self._timer: DelayedCall | None = None
        self._back_at: float | None = None
        self._ever_failed = False
        self._warn_at = 0.0

    def load(self) -> float:
        if self._back_at is None:
            return self.sessions
        halvings = (self._clock.seconds() - self._back_at) / self.HALVED_S
        return self.sessions + float(self.PENALTY * 0.5**halvings)

    def attach(self, client: NgClient, patience_s: float = 0.0) -> None:
        """Speak through this (open) client from now on, and find out whether it is up.

        ``patience_s``: it is just starting, so that silence is no news for so long.
        """
        self.detach()
        self.client = client
        self._warn_at = self._clock.seconds() + patience_s
        self._probe_s = self.PROBE_FIRST_S
        self._probe_in(0)

    def detach(self) -> None:
        """The rtpengine is gone; sessions it had are lost.  Idempotent."""
        client, self.client = self.client, None
        self._stop_timer()
        self._down()
        self.missed = 0
        if client is not None:
            client.close()

    def failed(self, client: NgClient) -> None:
        """A request got no answer: leave it out until a ping is answered again."""
        if client is self.client and self.up:
            log.warning("rtpengine_left_out", engine=self.name)
            self._down()
            self._probe_s = self.PROBE_FIRST_S
            self._probe_in(self._probe_s)

    def _down(self) -> None:
        if self.up:
            self._ever_failed = True
        self.up = False

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _probe_in(self, wait_s: float) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(wait_s, self._probe)

    def _probe(self) -> None:
        client = self.client
        if client is not None:
            Deferred.fromCoroutine(self._ping(client))

    async def _ping(self, client: NgClient) -> None:
        try:
            await client.request("ping")
        except (NgSilent, NgRefused) as e:
            if client is self.client:
                self._not_seen(str(e))
            return
        if client is self.client:
            self._seen()

    def _seen(self) -> None:
        self.missed = 0
        self._warn_at = 0.0
        self._probe_s = self.PROBE_FIRST_S
        if not self.up:
            self.up = True
            if self._ever_failed:
                self._back_at = self._clock.seconds()
            log.info("rtpengine_up", engine=self.name)
            self._tell()
        self._probe_in(self.PING_S)

    def _not_seen(self, why: str) -> None:
        self.missed += 1
        if self._clock.seconds() >= self._warn_at:
            self._warn_at = float("inf")
            log.warning("rtpengine_silent", engine=self.name, error=why)
        self._down()
        self._tell()
        self._probe_in(self._probe_s)
        self._probe_s = min(self._probe_s * 2, self.PROBE_LAST_S)

    def _tell(self) -> None:
        waiting, self.changed = self.changed, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)

    async def settled(self, timeout_s: float) -> None:
        """Wait for the next ping's outcome, or the time; ``up`` tells which it was."""
        waiter: Deferred[None] = Deferred()
        self.changed.append(waiter)
        waiter.addTimeout(timeout_s, self._clock)  # type: ignore[arg-type]  # a zope interface
        try:
            await waiter
        except (DeferredTimeout, CancelledError) as e:
            if waiter in self.changed:
                self.changed.remove(waiter)
            if isinstance(e, CancelledError):
                raise


class Engines:
    """Chooses among engines."""

    WAIT_S: Final = 3.0
    """For one to come up when none is: a managed one is back within this time."""

    def __init__(self, engines: Sequence[Engine], clock: Clock) -> None:
        self.all = tuple(engines)
        self._clock = clock

    async def pick(self, without: Sequence[Engine] = ()) -> tuple[Engine, NgClient]:
        """The least loaded that is up and not in ``without``; ``NoCapacity`` when there is none."""
        deadline = self._clock.seconds() + self.WAIT_S
        while True:
            usable = [e for e in self.all if e.up and e not in without]
            if usable:
                best = min(usable, key=Engine.load)
                if best.client is not None:
                    return best, best.client
            left = deadline - self._clock.seconds()
            if without or left <= 0 or not self.all:
                raise NoCapacity("no rtpengine answers: a browser's call cannot be carried now")
            await self._any_change(left)

    async def _any_change(self, timeout_s: float) -> None:
        waiter: Deferred[None] = Deferred()
        for engine in self.all:
            engine.changed.append(waiter)
        waiter.addTimeout(timeout_s, self._clock)  # type: ignore[arg-type]  # a zope interface
        try:
            await waiter
        except DeferredTimeout:
            return
        finally:
            for engine in self.all:
                if waiter in engine.changed:
                    engine.changed.remove(waiter)
