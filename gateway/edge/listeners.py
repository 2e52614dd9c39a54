"""Sockets of the edge: datagrams and streams in, messages out; bounded, and timed out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from twisted.internet.error import InvalidAddressError
from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.edge.flows import Flow, Flows
from gateway.edge.tls import names_of
from gateway.sip.errors import FramingError, SipParseError
from gateway.sip.framing import KeepAlive, StreamFramer
from gateway.sip.message import Message
from gateway.values import HostPort, Transport

log = structlog.get_logger()

HANDSHAKE_S = 5.0
"""For TLS to stand."""
MAX_UNSENT = 1_000_000
"""Bytes that may wait for a slow TCP peer before its connection is closed."""


class Datagrams(DatagramProtocol):
    """``refused`` is told of addresses at which ICMP says that nobody listens."""

    def __init__(
        self,
        received: Callable[[bytes, HostPort], None],
        refused: Callable[[HostPort], None] = lambda _: None,
    ) -> None:
        self._received = received
        self.refused = refused

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._received(datagram, HostPort(addr[0], addr[1]))

    def send(self, data: bytes, to: HostPort) -> bool:
        """``False`` when the system refuses to send it: no route, too long, no such address."""
        transport: Any = self.transport  # Twisted's stubs have lost the self of its interfaces
        if transport is None:
            return False
        try:
            transport.write(data, (to.host, to.port))
        except (OSError, InvalidAddressError) as e:
            log.info("datagram_not_sent", to=str(to), size=len(data), why=str(e))
            return False
        return True


class StreamEvents:
    """What a TCP connection tells the edge."""

    def __init__(
        self,
        message: Callable[[Message | SipParseError, Flow], None],
        closed: Callable[[Flow], None],
        dropped: Callable[[str], None],
    ) -> None:
        self.message = message
        self.closed = closed
        self.dropped = dropped


@implementer(IHandshakeListener)
class Stream(Protocol, TimeoutMixin):
    """``opened`` is told of a connection that stands, with the names of the peer's certificate.

    ``None`` from it: it is not to be used.  ``ping_s`` 0: the other end keeps it alive.
    """

    def __init__(
        self,
        events: StreamEvents,
        max_bytes: int,
        idle_s: float,
        *,
        opened: Callable[[Stream, frozenset[str]], Flow | None],
        closed: Callable[[str], None],
        ping_s: float = 0.0,
        secure: bool = False,
    ) -> None:
        self._events = events
        self._framer = StreamFramer(max_bytes)
        self._idle_s = idle_s
        self._opened = opened
        self._closed = closed
        self._ping_s = ping_s
        self._secure = secure
        self._unsent = 0
        self._pinging = LoopingCall(self._ping)
        self._pinged = False
        self.flow: Flow | None = None

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self.setTimeout(HANDSHAKE_S if self._secure else self._idle_s)
        if not self._secure:
            self._begin(frozenset())

    def handshakeCompleted(self) -> None:
        """TLS stands (``IHandshakeListener``)."""
        transport: Any = self.transport
        self.setTimeout(self._idle_s)
        self._begin(names_of(transport.getPeerCertificate()))

    def _begin(self, names: frozenset[str]) -> None:
        self.flow = self._opened(self, names)
        if self.flow is None:
            self.abort()
        elif self._ping_s:
            self._pinging.start(self._ping_s, now=False)

    def _ping(self) -> None:
        """RFC 5626 §4.4.1: a ping that is not answered by the next one means that it is dead."""
        if self._pinged:
            log.info("connection_silent", peer=str(self.flow.peer) if self.flow else "")
            self.abort()
            return
        self._pinged = True
        self.send(b"\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()
        self._pinged = False
        try:
            for message in self._framer.feed(data):
                if isinstance(message, KeepAlive):
                    self.send(b"\r\n")
                elif self.flow is not None:
                    self._events.message(message, self.flow)
        except FramingError as e:
            log.info("stream_lost", peer=str(self.flow.peer) if self.flow else "", why=str(e))
            self._events.dropped("framing")
            self.abort()

    def send(self, data: bytes) -> None:
        transport: Any = self.transport
        if transport is None:
            return
        if self._paused:
            self._unsent += len(data)
            if self._unsent > MAX_UNSENT:
                self._events.dropped("slow_peer")
                self.abort()
                return
        transport.write(data)

    # IPushProducer of nothing but replies: the transport says when its buffer is full
    _paused = False

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._unsent = 0

    def stopProducing(self) -> None:
        self.abort()

    def timeoutConnection(self) -> None:
        self.abort()

    def abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        if self._pinging.running:
            self._pinging.stop()
        self._closed(str(reason.value))


class Streams(Factory):
    """Accepts connections, no more than ``limit``, and from one address a quarter of that."""

    noisy = False

    def __init__(
        self,
        events: StreamEvents,
        flows: Flows,
        limit: int,
        max_bytes: int,
        idle_s: float,
        *,
        secure: bool = False,
    ) -> None:
        self._events = events
        self._flows = flows
        self._limit = limit
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._secure = secure
        self._open: set[Stream] = set()
        self._per_host: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress | None) -> Stream | None:
        host = getattr(addr, "host", "")
        # one address may not take every connection there is
        most = max(1, self._limit // 4)
        if len(self._open) >= self._limit or self._per_host[host] >= most:
            self._events.dropped("connections")
            return None
        stream = Stream(
            self._events,
            self._max_bytes,
            self._idle_s,
            opened=self._opened,
            closed=lambda _why: self._closed(stream, host),
            secure=self._secure,
        )
        self._open.add(stream)
        self._per_host[host] += 1
        return stream

    def _opened(self, stream: Stream, names: frozenset[str]) -> Flow:
        transport: Any = stream.transport
        peer = transport.getPeer()
        kind: Transport = "tls" if self._secure else "tcp"
        return self._flows.opened(HostPort(peer.host, peer.port), stream.send, kind, names)

    def _closed(self, stream: Stream, host: str) -> None:
        self._open.discard(stream)
        self._per_host[host] -= 1
        if self._per_host[host] <= 0:
            del self._per_host[host]
        if stream.flow is not None:
            self._flows.closed(stream.flow)
            self._events.closed(stream.flow)

    def close_all(self) -> None:
        for stream in tuple(self._open):
            stream.abort()
