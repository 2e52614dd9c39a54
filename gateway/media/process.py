"""A worker process as the daemon sees it: its channel, its beats, its end."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any, Final, Protocol

import structlog
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.protocols.amp import AMP
from twisted.python.failure import Failure

from gateway.calls.ports import LegEvents, Prompt
from gateway.media import commands as c
from gateway.media.options import LEGS_A_SECOND, Options, Pace
from gateway.values import HostPort, LegEnd, LegId, LegMedia, LegStats, StreamStats, WorkerId

log = structlog.get_logger()

MISSED_BEATS: Final = 3
START_S: Final = 10.0
CHANNEL_IN, CHANNEL_OUT = 3, 4
"""Descriptors in the child."""


class PoolSide(Protocol):
    """What a worker process tells the pool."""

    def worker_ready(self, worker: WorkerProcess) -> None: ...
    def worker_changed(self, worker: WorkerProcess) -> None: ...
    def worker_ended(self, worker: WorkerProcess) -> None: ...


class _Channel(AMP):
    """Events of the worker, passed on to the lease that holds the leg."""

    def __init__(self, worker: WorkerProcess) -> None:
        super().__init__()
        self._worker = worker

    @c.Ready.responder
    def ready(self, sip_port: int, legs: int) -> dict[str, Any]:
        self._worker.on_ready(sip_port, legs)
        return {}

    @c.Beat.responder
    def beat(self, legs: int) -> dict[str, Any]:
        self._worker.on_beat(legs)
        return {}

    @c.LegState.responder
    def leg_state(self, leg: str, state: str, code: int) -> dict[str, Any]:
        events = self._worker.events_of(leg)
        if events is None:
            return {}
        match state:
            case "incoming":
                events.leg_incoming(LegId(leg))
            case "ringing":
                events.leg_ringing(LegId(leg), code)
            case "answered":
                events.leg_answered(LegId(leg))
        return {}

    @c.LegMediaUp.responder
    def leg_media(
        self, leg: str, codec: str, clock_hz: int, secure: bool, remote_held: bool
    ) -> dict[str, Any]:
        events = self._worker.events_of(leg)
        if events is not None:
            events.leg_media(LegId(leg), LegMedia(codec, clock_hz, secure, remote_held))
        return {}

    @c.HeardDtmf.responder
    def heard_dtmf(self, leg: str, digit: str, duration_ms: int) -> dict[str, Any]:
        events = self._worker.events_of(leg)
        if events is not None:
            events.leg_dtmf(LegId(leg), digit, duration_ms)
        return {}

    @c.Played.responder
    def played(self, leg: str, sound: str) -> dict[str, Any]:
        events = self._worker.events_of(leg)
        if events is not None:
            events.leg_played(LegId(leg), Prompt(sound))
        return {}

    @c.Stats.responder
    def stats(self, leg: str, **figures: Any) -> dict[str, Any]:
        events = self._worker.events_of(leg)
        if events is not None:
            events.leg_stats(LegId(leg), _stats(figures))
        return {}

    @c.LegParted.responder
    def leg_parted(self, leg: str) -> dict[str, Any]:
        self._worker.on_parted(leg)
        return {}

    @c.LegClosed.responder
    def leg_closed(
        self,
        leg: str,
        code: int,
        text: str,
        remote: bool,
        cause: int,
        contacts: str,
        retry_after_s: int,
        why: str,
        has_stats: bool,
        **figures: Any,
    ) -> dict[str, Any]:
        stats = _stats(figures) if has_stats else None
        end = LegEnd(
            code,
            text,
            remote,
            cause or None,
            stats,
            tuple(contacts.split("\n")) if contacts else (),
            None if retry_after_s < 0 else retry_after_s,
            why,
        )
        self._worker.on_closed(LegId(leg), end)
        return {}


def _stats(f: dict[str, Any]) -> LegStats:
    return LegStats(
        received=StreamStats(f["rx_packets"], f["rx_lost"], f["rx_jitter_ms"]),
        sent=StreamStats(f["tx_packets"], f["tx_lost"], f["tx_jitter_ms"]),
        rtt_ms=None if f["rtt_ms"] < 0 else f["rtt_ms"],
        codec=f["codec"],
    )


class _Pipe:
    """The child's descriptors as a transport for AMP."""

    disconnecting = False

    def __init__(self, process: Any) -> None:
        self._process = process

    def write(self, data: bytes) -> None:
        if CHANNEL_IN in self._process.pipes:  # it is not once the worker has died
            self._process.writeToChild(CHANNEL_IN, data)

    def writeSequence(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self._process.closeChildFD(CHANNEL_IN)

    abortConnection = loseConnection

    def getPeer(self) -> str:
        return "worker"

    getHost = getPeer


class WorkerProcess(ProcessProtocol):
    """``taken`` counts the legs that are lent, ``sip`` is known once it is ready."""

    def __init__(
        self,
        number: WorkerId,
        options: Options,
        pool: PoolSide,
        reactor: Any,
        block: Any,
    ) -> None:
        self.id = number
        self.pid = 0
        self.sip: HostPort | None = None
        self.capacity = options.legs
        self.taken = 0
        self._begun = Pace(LEGS_A_SECOND)
        self.draining = False
        self.ended = False
        self.idle_since = self.born = reactor.seconds()
        self._options = options
        self._pool = pool
        self._reactor = reactor
        self._block = block
        self._events: dict[str, LegEvents] = {}
        self._leases: list[LegEvents] = []
        self._unparted: set[str] = set()
        self._lingering: set[str] = set()
        self._beat_timer: Any = None
        self.amp = _Channel(self)

    def spawn(self) -> None:
        args = [sys.executable, "-m", "gateway.media", json.dumps(asdict(self._options))]
        descriptors = {0: "w", 1: "r", 2: "r", CHANNEL_IN: "w", CHANNEL_OUT: "r"}
        # a host name in a peer's SDP makes PJSIP wait for DNS: not for long
        env = {**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"}
        self._reactor.spawnProcess(self, sys.executable, args, env=env, childFDs=descriptors)
        self._expect_beat(START_S)

    @property
    def places(self) -> int:
        """How many legs more it can hold."""
        if self.sip is None or self.draining or self.ended:
            return 0
        return max(0, self.capacity - self.taken - len(self._lingering))

    def may_hold(self, legs: int) -> bool:
        """Whether so many places are free, or soon will be: their legs have only to part."""
        alive = self.sip is not None and not self.draining and not self.ended
        return alive and self.capacity - self.taken >= legs

    @property
    def free(self) -> int:
        """How many legs more it can begin just now."""
        return max(0, min(self.places, self._begun.room(self._reactor.seconds())))

    # -- ProcessProtocol

    def connectionMade(self) -> None:
        process: Any = self.transport
        self.pid = process.pid
        process.closeChildFD(0)
        self.amp.makeConnection(_Pipe(process))

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803  # Twisted's name
        if childFD == CHANNEL_OUT:
            self.amp.dataReceived(data)
            return
        for line in data.decode("utf-8", "replace").splitlines():
            if line.strip():
                log.debug("worker_says", worker=self.id, line=line[:300])

    def processEnded(self, reason: Failure) -> None:
        self.ended = True
        self._disarm()
        self._block.release()
        self.amp.connectionLost(reason)
        level = log.info if self.draining else log.error
        level("worker_ended", worker=self.id, pid=self.pid, why=str(reason.value)[:200])
        self._pool.worker_ended(self)
        leases, self._leases = self._leases, []
        self._events.clear()
        for events in leases:
            events.worker_lost()

    # -- its life

    def on_ready(self, sip_port: int, legs: int) -> None:
        self.capacity = min(self.capacity, legs)
        self.sip = HostPort("127.0.0.1", sip_port)
        self._expect_beat(c.BEAT_S * MISSED_BEATS)
        self._pool.worker_ready(self)

    def on_beat(self, legs: int) -> None:  # for whoever watches the channel
        self._expect_beat(c.BEAT_S * MISSED_BEATS)

    def _expect_beat(self, within_s: float) -> None:
        self._disarm()
        self._beat_timer = self._reactor.callLater(within_s, self._silent)

    def _disarm(self) -> None:
        if self._beat_timer is not None and self._beat_timer.active():
            self._beat_timer.cancel()
        self._beat_timer = None

    def _silent(self) -> None:
        log.error("worker_silent", worker=self.id, pid=self.pid)
        self.kill()

    def kill(self) -> None:
        process: Any = self.transport
        try:
            process.signalProcess("KILL")
        except ProcessExitedAlready:
            return

    def hang_up(self) -> None:
        """Close the channel: the worker says its farewells and leaves."""
        self.draining = True
        process: Any = self.transport
        process.closeChildFD(CHANNEL_IN)

    def drain(self) -> None:
        """It leaves when its last leg has closed."""
        self.draining = True
        self.amp.callRemote(c.Drain)

    # -- legs

    def lent(self, events: LegEvents, legs: int) -> None:
        self.taken += legs
        self._begun.begin(self._reactor.seconds(), legs)
        self._leases.append(events)
        self._pool.worker_changed(self)

    def widened(self, legs: int) -> None:
        """A lease takes so many legs more."""
        self.taken += legs
        self._begun.begin(self._reactor.seconds(), legs)
        self._pool.worker_changed(self)

    def narrowed(self, legs: int) -> None:
        """A lease gives up so many legs that it has not begun."""
        self.taken -= legs

    def given_back(self, events: LegEvents, legs: int, begun: set[LegId]) -> None:
        """A leg whose BYE is not answered yet goes on filling a place."""
        if events in self._leases:
            self._lingering |= begun & self._unparted
            self._leases.remove(events)
            self.taken -= legs
            self.idle_since = self._reactor.seconds()
            self._pool.worker_changed(self)

    def watch(self, leg: LegId, events: LegEvents) -> None:
        self._events[leg] = events
        self._unparted.add(leg)

    def unwatch(self, leg: LegId) -> None:
        """Nobody is told of it any more."""
        self._events.pop(leg, None)

    def events_of(self, leg: str) -> LegEvents | None:
        return self._events.get(leg)

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        events = self._events.pop(leg, None)
        if events is not None:
            events.leg_closed(leg, end)

    def on_parted(self, leg: str) -> None:
        self._unparted.discard(leg)
        if leg in self._lingering:
            self._lingering.discard(leg)
            self._pool.worker_changed(self)
