"""The pool of media workers: warm spares, whole calls placed in one worker, the fallen replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import LoopingCall

from gateway.calls.console_ports import WorkerView
from gateway.calls.ports import Farewell, LegEvents, PoolMeters, WorkerState, WorkerWatch
from gateway.errors import CannotStart, NoCapacity
from gateway.media import commands as c
from gateway.media.lease import Lease
from gateway.media.options import Options
from gateway.media.process import WorkerProcess
from gateway.media.rtp_ports import PortBlocks, worker_ports
from gateway.media.usage import used_by
from gateway.settings import MediaSection
from gateway.values import CallId, HostPort, WorkerId

log = structlog.get_logger()

WAIT_S: Final = 3.0
"""How long a call waits for a worker to start when every warm one is taken."""
MAX_WAITING: Final = 200
LOOK_AGAIN_S: Final = 0.1
SPARE_IDLE_S: Final = 60.0
BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S: Final = 30.0
"""A worker that lived so long had no fault that the next one will have at once."""
STATES: Final[tuple[WorkerState, ...]] = ("starting", "idle", "busy", "draining")


class Pool:
    """Implements ``ports.MediaPool``, ``ports.Wills`` and ``process.PoolSide``."""

    def __init__(
        self,
        settings: MediaSection,
        proxy: HostPort,
        blocks: PortBlocks,
        reactor: Any,
        watch: WorkerWatch,
        meters: PoolMeters,
        user_agent: str,
    ) -> None:
        self._settings = settings
        self._proxy = proxy
        self._blocks = blocks
        self._reactor = reactor
        self._watch = watch
        self._meters = meters
        self._user_agent = user_agent
        self._workers: list[WorkerProcess] = []
        self._serial = 0
        self._failures = 0
        self._waiting: deque[tuple[int, Deferred[WorkerProcess]]] = deque()
        self._stopping: Deferred[Any] | None = None
        self._first: Deferred[None] | None = None
        self._restart: Any = None
        self._looking: Any = None
        self._tending = LoopingCall(self.tend)
        self._tending.clock = reactor

    # -- life

    async def start(self) -> None:
        """Fires when the warm workers are ready; ``CannotStart`` when they do not come up."""
        self._first = Deferred()
        self._first.addTimeout(20, self._reactor)
        self.tend()
        try:
            await self._first
        except DeferredTimeout:
            await self.stop()
            problem = "no media worker came up; run 'dm-gateway doctor' to see what it misses"
            raise CannotStart(problem) from None
        self._tending.start(5, now=False)

    async def stop(self) -> None:
        """End every worker; their legs are over by then, or end with them.  Idempotent."""
        if self._stopping is not None:
            return
        if self._tending.running:
            self._tending.stop()
        self._stopping = Deferred()
        if self._restart is not None and self._restart.active():
            self._restart.cancel()
        if self._looking is not None and self._looking.active():
            self._looking.cancel()
        for _, waiting in self._waiting:
            waiting.errback(NoCapacity("the gateway is stopping"))
        self._waiting.clear()
        if not self._workers:
            return
        for worker in self._workers:
            worker.hang_up()
        killer = self._reactor.callLater(3, self._kill_all)
        await self._stopping
        if killer.active():
            killer.cancel()

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.kill()

    def ready(self) -> bool:
        """Whether a call could be placed now or as soon as a worker has started."""
        return any(w.free >= 2 for w in self._workers) or self._may_start()

    # -- ports.MediaPool

    async def lend(self, call: CallId, legs: int, events: LegEvents, spare: int = 0) -> Lease:
        spare = max(0, min(spare, self._settings.legs_per_worker - legs))
        legs += spare
        worker = self._choose(legs)
        if worker is None:
            if not self._worth_waiting(legs):
                raise NoCapacity("every media worker is taken")
            waiting: Deferred[WorkerProcess] = Deferred()
            entry = (legs, waiting)
            self._waiting.append(entry)
            self._look_again()
            waiting.addTimeout(WAIT_S, self._reactor)
            self.tend()
            try:
                worker = await waiting
            except DeferredTimeout:
                raise NoCapacity("no media worker became free in time") from None
            finally:
                if entry in self._waiting:
                    self._waiting.remove(entry)
        if worker.sip is None:
            raise NoCapacity("the media worker is not ready")
        lease = Lease(worker, worker.sip, legs, events, spare)
        log.debug("worker_lent", call=call, worker=worker.id, legs=legs, taken=worker.taken)
        self.tend()
        return lease

    def _look_again(self) -> None:
        """Workers may have places again without an event that says so: they rest for a second."""
        if self._looking is None or not self._looking.active():
            self._looking = self._reactor.callLater(LOOK_AGAIN_S, self._looked)

    def _looked(self) -> None:
        self._serve_waiting()
        if self._waiting:
            self._look_again()

    def _worth_waiting(self, legs: int) -> bool:
        """A worker is starting, can be started, or has places that only rest."""
        if legs > self._settings.legs_per_worker or len(self._waiting) >= MAX_WAITING:
            return False
        starting = any(w.sip is None and not w.ended for w in self._workers)
        return starting or self._may_start() or any(w.may_hold(legs) for w in self._workers)

    def _choose(self, legs: int) -> WorkerProcess | None:
        """The fullest worker that has room: the others stay free for larger calls."""
        fitting = [w for w in self._workers if w.free >= legs]
        return min(fitting, key=lambda w: w.free, default=None)

    # -- keeping spares

    def _may_start(self) -> bool:
        return len(self._workers) < self._settings.max_workers and self._stopping is None

    def tend(self) -> None:
        """Start what is missing; let go of spares that have been idle too long."""
        if self._stopping is not None:
            return
        coming = [w for w in self._workers if w.sip is None and not w.ended]
        idle = [w for w in self._workers if w.sip is not None and w.places == w.capacity]
        wanted = self._settings.warm_workers + len(self._waiting) // 2
        missing = wanted - len(idle) - len(coming)
        backing_off = self._restart is not None and self._restart.active()
        while missing > 0 and self._may_start() and not backing_off:
            if not self._start_one():
                break
            missing -= 1
        spare = sorted(idle, key=lambda w: w.idle_since)[: max(0, len(idle) - wanted)]
        for worker in spare:
            if self._reactor.seconds() - worker.idle_since > SPARE_IDLE_S:
                worker.drain()
        self._count()

    def _start_one(self) -> bool:
        s = self._settings
        try:
            wanted = worker_ports(self._blocks.room, s.max_workers, s.legs_per_worker)
            block = self._blocks.take(wanted)
        except NoCapacity as e:
            log.error("worker_not_started", why=str(e))
            return False
        self._serial += 1
        options = Options(
            proxy=str(self._proxy),
            media_host=s.host,
            public_host=s.public_host or "",
            codecs=tuple(s.codecs),
            ptime_ms=s.ptime_ms,
            rtp_first=block.first,
            rtp_last=block.last,
            legs=s.legs_per_worker,
            stats_interval_s=s.stats_interval_s,
            rtp_timeout_s=s.rtp_timeout_s,
            jitter_ms_init=s.jitter_ms_init,
            jitter_ms_max=s.jitter_ms_max,
            hold_sound=str(s.hold_sound),
            prompts=str(s.prompts or ""),
            user_agent=self._user_agent,
        )
        worker = WorkerProcess(WorkerId(self._serial), options, self, self._reactor, block)
        try:
            worker.spawn()
        except OSError as e:  # no process or descriptor left to be had
            log.error("worker_not_started", why=str(e))
            block.release()
            self._replace()
            return False
        self._workers.append(worker)
        return True

    def _count(self) -> None:
        counts: dict[WorkerState, int] = dict.fromkeys(STATES, 0)
        for worker in self._workers:
            counts[_state(worker)] += 1
        for state, count in counts.items():
            self._meters.workers(state, count)

    # -- process.PoolSide

    def worker_ready(self, worker: WorkerProcess) -> None:
        log.info("worker_ready", worker=worker.id, pid=worker.pid, sip=str(worker.sip))
        if worker.sip is not None:
            self._watch.worker_up(worker.sip)
        self._serve_waiting()
        warm = sum(1 for w in self._workers if w.sip is not None)
        if self._first is not None and warm >= self._settings.warm_workers:
            first, self._first = self._first, None
            first.callback(None)
        self._count()

    def worker_changed(self, worker: WorkerProcess) -> None:
        if worker.free:
            self._serve_waiting()
        self._count()

    def worker_ended(self, worker: WorkerProcess) -> None:
        self._workers.remove(worker)
        if worker.sip is not None:
            self._watch.worker_gone(worker.sip)
        if self._stopping is not None:
            if not self._workers:
                self._stopping.callback(None)
            return
        if not worker.draining:
            if self._reactor.seconds() - worker.born > STEADY_S:
                self._failures = 0
            self._replace()
        self._count()

    def _replace(self) -> None:
        """Start another, later and later while they keep falling."""
        if self._restart is not None and self._restart.active():
            return
        wait_s = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        self._restart = self._reactor.callLater(wait_s, self.tend)

    def _serve_waiting(self) -> None:
        while self._waiting:
            legs, waiting = self._waiting[0]
            worker = self._choose(legs)
            if worker is None:
                return
            self._waiting.popleft()
            waiting.callback(worker)

    # -- ports.Wills

    def keep(self, worker: HostPort, dialog: str, farewell: Farewell | None) -> None:
        found = next((w for w in self._workers if w.sip == worker and not w.ended), None)
        if found is None:
            return
        if farewell is None:
            nothing = HostPort("", 0)
            farewell = Farewell("udp", nothing, nothing, b"")
        found.amp.callRemote(
            c.Will,
            dialog=dialog,
            transport=farewell.transport,
            source=farewell.source.host,
            source_port=farewell.source.port,
            host=farewell.destination.host,
            port=farewell.destination.port,
            payload=farewell.payload[:60_000],
        )

    # -- console_ports.Workers

    def views(self) -> Sequence[WorkerView]:
        now = self._reactor.seconds()
        return [
            WorkerView(
                worker=w.id,
                pid=w.pid,
                state=_state(w),
                taken=w.taken,
                capacity=w.capacity,
                up_s=now - w.born,
                cpu_s=used[0],
                rss_bytes=used[1],
            )
            for w, used in ((w, used_by(w.pid)) for w in self._workers)
        ]

    def room(self) -> tuple[int, int]:
        s = self._settings
        return sum(w.taken for w in self._workers), s.max_workers * s.legs_per_worker

    # -- for tests and the doctor

    def pids(self) -> dict[WorkerId, int]:
        return {w.id: w.pid for w in self._workers}


def _state(worker: WorkerProcess) -> WorkerState:
    if worker.draining:
        return "draining"
    if worker.sip is None:
        return "starting"
    return "busy" if worker.taken else "idle"
