"""An rtpengine of our own: started on free ports, watched, restarted, gone when we are gone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections import deque
from typing import Any, Final, Protocol, cast

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from gateway.calls.ports import DelayedCall
from gateway.errors import CannotStart
from gateway.media.engines import Engine, Engines
from gateway.media.ng import NgClient, NgReactor
from gateway.settings import MediaSection, WebRtcSection
from gateway.values import HostPort

log = structlog.get_logger()

_LOOPBACK: Final = "127.0.0.1"


class RtpBlock(Protocol):
    """A block of UDP ports that is ours until released."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    def release(self) -> None: ...


class RtpPorts(Protocol):
    def take(self, count: int) -> RtpBlock: ...


class ProcessReactor(NgReactor, Protocol):
    """Twisted's processes besides."""

    def spawnProcess(
        self, protocol: ProcessProtocol, executable: str, args: list[str], env: dict[str, str], /
    ) -> Any: ...
    def resolve(self, name: str) -> Deferred[str]: ...


class _Stdin(Protocol):
    def closeStdin(self) -> None: ...


class _Child(ProcessProtocol):
    """One run of the program; the last lines it wrote are kept for the report of its end."""

    LINE: Final = 300

    def __init__(self) -> None:
        self.ended: Deferred[str] = Deferred()
        self.lines: deque[str] = deque(maxlen=5)
        self._rest = b""

    def connectionMade(self) -> None:
        if self.transport is not None:
            cast(_Stdin, self.transport).closeStdin()

    def errReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-self.LINE :]
        for line in lines:
            text = line[: self.LINE].decode("utf-8", "replace").strip()
            if text:
                self.lines.append(text)
                log.debug("rtpengine_says", line=text)

    def outReceived(self, data: bytes) -> None:
        self.errReceived(data)

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(str(reason.value))


class ManagedRtpengine:
    """Keeps one rtpengine running behind ``engine``.

    It lives in userspace (``--table=-1``) and needs no privileges.  The kernel kills it when
    this process dies, whatever way (``PR_SET_PDEATHSIG``).
    """

    START_S: Final = 10.0
    START_RUNS: Final = 3
    """A port may be taken between being found free and being bound."""
    RESTART_FIRST_S: Final = 0.1
    RESTART_LAST_S: Final = 5.0
    STEADY_S: Final = 10.0
    """A run this long makes the next restart quick again."""
    STOP_S: Final = 2.0
    MISSED_PINGS: Final = 2
    """So many (3 s each) without an answer: it hangs, and is killed."""
    WATCH_S: Final = 0.5
    REAP_S: Final = 0.05
    SILENT_S: Final = 14_400
    """A session without any packet for so long is nobody's."""

    def __init__(
        self, webrtc: WebRtcSection, media: MediaSection, block: RtpBlock, reactor: ProcessReactor
    ) -> None:
        self.engine = Engine("managed", reactor, split=True)
        self.pid: int | None = None
        self._webrtc = webrtc
        self._media = media
        self._block = block
        self._reactor = reactor
        self._child: _Child | None = None
        self._process: Any = None
        self._restart_s = self.RESTART_FIRST_S
        self._timer: DelayedCall | None = None
        self._watch: DelayedCall | None = None
        self._started_at = 0.0
        self._stopping = False
        self._interfaces: tuple[str, str] = ("", "")
        self._last_words: tuple[str, ...] = ()
        self._failed_runs = 0

    async def start(self) -> None:
        """Come up, or ``CannotStart`` with what would be right."""
        program = self._webrtc.program
        if not os.access(program, os.X_OK):
            raise CannotStart(
                f"webrtc.program: {program} cannot be run; install rtpengine-daemon, "
                "or set webrtc.rtpengine to off or to HOST:PORT of one that runs"
            )
        if shutil.which("setpriv") is None:
            raise CannotStart("setpriv is missing; install util-linux")
        self._interfaces = await self._addresses()
        self._spawn()
        deadline = self._reactor.seconds() + self.START_S
        while not (self.engine.up or self._stopping) and self._failed_runs < self.START_RUNS:
            left = deadline - self._reactor.seconds()
            if left <= 0:
                break
            await self.engine.settled(min(left, 0.2))
        if not self.engine.up:
            said = " / ".join(self._child.lines if self._child else self._last_words)
            await self.stop()
            raise CannotStart(f"{program} does not come up: {said or 'it says nothing'}")

    async def stop(self) -> None:
        """End it and give its ports back.  Idempotent."""
        self._stopping = True
        for timer in (self._timer, self._watch):
            if timer is not None and timer.active():
                timer.cancel()
        self.engine.detach()
        child = self._child
        if child is not None:
            self._signal(signal.SIGTERM)
            gone: Deferred[None] = Deferred()

            def tell(why: str) -> str:
                gone.callback(None)
                return why

            child.ended.addCallback(tell)
            kill = self._reactor.callLater(self.STOP_S, lambda: self._signal(signal.SIGKILL))
            self._reap_until_ended()
            await gone
            if kill.active():
                kill.cancel()
        self._block.release()

    async def _addresses(self) -> tuple[str, str]:
        host = await self._reactor.resolve(self._webrtc.host)
        public = f"pub/{host}"
        if self._webrtc.public_host is not None:
            public += "!" + await self._reactor.resolve(self._webrtc.public_host)
        return public, f"priv/{_LOOPBACK}"

    def arguments(self, ng: HostPort) -> list[str]:
        public, private = self._interfaces
        return [
            str(self._webrtc.program),
            "--config-file=none",
            "--foreground",
            "--table=-1",
            f"--interface={public}",
            f"--interface={private}",
            f"--listen-ng={ng}",
            f"--port-min={self._block.first}",
            f"--port-max={self._block.last}",
            f"--timeout={int(max(60, self._media.rtp_timeout_s * 2))}",
            f"--silent-timeout={self.SILENT_S}",
            "--delete-delay=0",
            "--endpoint-learning=heuristic",  # where SDP says nothing of use: like it at least
            "--mos=LQ",  # else reports count only once a round trip is known
            "--log-stderr",
            "--no-log-timestamps",
            # warnings quote whole messages, SDP and keys with them
            "--log-level=3",
        ]

    def _spawn(self) -> None:
        ng = HostPort(_LOOPBACK, _free_udp_port())
        child = self._child = _Child()
        setpriv = shutil.which("setpriv") or "setpriv"
        args = [setpriv, "--pdeathsig", "KILL", *self.arguments(ng)]
        env = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
        self._process = self._reactor.spawnProcess(child, setpriv, args, env)
        self.pid = self._process.pid
        self._started_at = self._reactor.seconds()
        child.ended.addCallback(self._ended)
        client = NgClient(ng, self._reactor)
        client.open()
        self.engine.attach(client, patience_s=2.0)
        self._look_after()
        log.info("rtpengine_started", pid=self.pid, ng=str(ng))

    def _look_after(self) -> None:
        """Kill one that lives and does not answer."""
        steady = self._reactor.seconds() - self._started_at > self.START_S
        if steady and self.engine.missed >= self.MISSED_PINGS:
            log.error("rtpengine_hangs", pid=self.pid)
            self._signal(signal.SIGKILL)
        self._watch = self._reactor.callLater(self.WATCH_S, self._look_after)
        self._reap()

    def _reap(self) -> None:
        """See its end also where nobody handles SIGCHLD (a reactor run without signal handlers)."""
        if self._child is not None:
            self._process.reapProcess()

    def _reap_until_ended(self) -> None:
        self._reap()
        if self._child is not None:
            self._reactor.callLater(self.REAP_S, self._reap_until_ended)

    def _ended(self, why: str) -> str:
        child, self._child = self._child, None
        self._last_words = tuple(child.lines) if child is not None else ()
        pid, self.pid = self.pid, None
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        if self._stopping:
            log.info("rtpengine_stopped", pid=pid)
            return why
        self.engine.detach()
        self._failed_runs += 1
        if self._reactor.seconds() - self._started_at >= self.STEADY_S:
            self._restart_s = self.RESTART_FIRST_S
        log.error("rtpengine_died", pid=pid, why=why, last=self._last_words, again=self._restart_s)
        self._timer = self._reactor.callLater(self._restart_s, self._spawn)
        self._restart_s = min(self._restart_s * 2, self.RESTART_LAST_S)
        return why

    def _signal(self, number: signal.Signals) -> None:
        try:
            self._process.signalProcess(number)
        except ProcessExitedAlready:
            return  # its end is being told


class ExternalRtpengine:
    """One that somebody else runs: used while it answers, probed while it does not."""

    def __init__(self, address: str, reactor: ProcessReactor) -> None:
        self.engine = Engine(address, reactor)
        self._reactor = reactor

    async def start(self) -> None:
        """Begin to ping it; one that is down is no fault yet."""
        host, _, port = self.engine.name.rpartition(":")
        try:
            numeric = await self._reactor.resolve(host)
        except DNSLookupError as e:
            raise CannotStart(f"webrtc.rtpengine: {host} cannot be resolved") from e
        client = NgClient(HostPort(numeric, int(port)), self._reactor)
        client.open()
        self.engine.attach(client)

    async def stop(self) -> None:
        self.engine.detach()


class Rtpengines(Engines):
    """What ``webrtc.rtpengine`` says: one of our own, others by address, or none."""

    def __init__(
        self, webrtc: WebRtcSection, media: MediaSection, ports: RtpPorts, reactor: ProcessReactor
    ) -> None:
        self._running: list[ManagedRtpengine | ExternalRtpengine] = []
        if webrtc.rtpengine == "managed":
            block = ports.take(block_size(media.rtp_ports))
            self._running.append(ManagedRtpengine(webrtc, media, block, reactor))
        elif webrtc.rtpengine != "off":
            self._running += [ExternalRtpengine(a, reactor) for a in webrtc.rtpengine]
        super().__init__([r.engine for r in self._running], reactor)

    async def start(self) -> None:
        """``CannotStart`` where our own does not come up, or a name cannot be resolved."""
        for one in self._running:
            await one.start()
        for engine in self.all:  # pinged all at once, so only the first that is down costs time
            if not engine.up and not engine.missed:
                await engine.settled(NgClient.IN_ALL_S)

    async def stop(self) -> None:
        """Idempotent."""
        for one in self._running:
            await one.stop()


def block_size(rtp_ports: tuple[int, int]) -> int:
    """Ports for our own rtpengine: four a browser, at most 1024, a twentieth of all there are.

    Several gateways on one machine find theirs in the same range.
    """
    first, last = rtp_ports
    return min(1024, max(40, (last - first + 1) // 20 // 2 * 2))


def split_ports(rtp_ports: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The workers' part and the rtpengines' part: blocks of two sizes do not share a range."""
    first, last = rtp_ports
    middle = first + (last - first + 1) * 3 // 4 - 1
    return (first, middle), (middle + 1, last)


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
