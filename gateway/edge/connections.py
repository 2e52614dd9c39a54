"""Connections that we open: to trunks, and back to those whose own has closed (RFC 3261 §18)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.edge.flows import Flow, Flows
from gateway.edge.listeners import Stream, StreamEvents
from gateway.edge.tls import client_context, is_for
from gateway.errors import CannotStart
from gateway.settings.transports import TlsSection
from gateway.values import HostPort, Transport

log = structlog.get_logger()

CONNECT_S: Final = 4.0
MAX_OPEN: Final = 500
MAX_QUEUED: Final = 200_000
"""Bytes that wait while a connection is being opened."""
PING_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a flow named ``to:TRANSPORT:HOST:PORT:NAME`` leads; HOST may be an IPv6 address."""

    transport: Transport
    peer: HostPort
    name: str

    @classmethod
    def of(cls, flow: str) -> Goal | None:
        kind, _, rest = flow.removeprefix("to:").partition(":")
        host, _, tail = _split(rest)
        port, _, name = tail.partition(":")
        if not flow.startswith("to:") or kind not in ("tcp", "tls") or not port.isdigit():
            return None
        # a place that was numeric has to have a certificate for its address
        return cls("tcp" if kind == "tcp" else "tls", HostPort(host, int(port)), name or host)


def _split(rest: str) -> tuple[str, str, str]:
    """The host off ``HOST:PORT:NAME``: of an IPv6 address its last two pieces are PORT and NAME."""
    pieces = rest.split(":")
    if len(pieces) < 3:
        return "", "", ""
    return ":".join(pieces[:-2]), ":", ":".join(pieces[-2:])


@implementer(IOpenSSLClientConnectionCreator)
class _Verified:
    """SNI and our context, for one connection."""

    def __init__(self, context: SSL.Context, name: str) -> None:
        self._context = context
        self._name = name

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._name and not self._name.replace(".", "").isdigit() and ":" not in self._name:
            connection.set_tlsext_host_name(self._name.encode("ascii", "ignore"))
        return connection


class _Outgoing(ClientFactory):
    """One connection, from its being wanted to its end."""

    noisy = False

    def __init__(self, room: Connections, flow: Flow, goal: Goal) -> None:
        self._room = room
        self._goal = goal
        self.flow = flow
        self.stream: Stream | None = None
        self._queued: list[bytes] = []
        self._size = 0

    def send(self, data: bytes) -> None:
        if self.stream is not None:
            self.stream.send(data)
            return
        self._size += len(data)
        if self._size <= MAX_QUEUED:
            self._queued.append(data)

    def buildProtocol(self, addr: IAddress | None) -> Stream:
        return Stream(
            self._room.events,
            self._room.max_bytes,
            self._room.idle_s,
            opened=self._opened,
            closed=self._closed,
            ping_s=PING_S,
            secure=self._goal.transport == "tls",
        )

    def _opened(self, stream: Stream, names: frozenset[str]) -> Flow | None:
        if self._goal.transport == "tls" and not is_for(names, self._goal.name):
            log.warning(
                "certificate_of_another",
                peer=str(self._goal.peer),
                wanted=self._goal.name,
                names=sorted(names)[:10],
            )
            return None
        self.stream = stream
        queued, self._queued = self._queued, []
        for data in queued:
            stream.send(data)
        return self.flow

    def _closed(self, why: str) -> None:
        self._room.ended(self, why)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self._room.ended(self, str(reason.value))


class Connections:
    """At most one to a goal; what it is asked for while it opens waits."""

    def __init__(
        self,
        reactor: Any,
        flows: Flows,
        events: StreamEvents,
        max_bytes: int,
        idle_s: float,
        own: TlsSection,
        authorities: Callable[[str], Path | None],
    ) -> None:
        self._reactor = reactor
        self._flows = flows
        self.events = events
        self.max_bytes = max_bytes
        self.idle_s = idle_s
        self._own = own
        self._authorities = authorities
        self._open: dict[str, _Outgoing] = {}

    def reach(self, name: str) -> Flow | None:
        """The flow of this name, opened if it is not; ``None``: it is none of ours, or too many."""
        found = self._open.get(name)
        if found is not None:
            return found.flow
        goal = Goal.of(name)
        if goal is None or len(self._open) >= MAX_OPEN:
            return None
        flow = Flow(name, goal.transport, goal.peer)
        outgoing = self._open[name] = _Outgoing(self, flow, goal)
        factory: Any = outgoing
        if goal.transport == "tls":
            try:
                context = client_context(self._authorities(goal.name), self._own)
            except CannotStart as e:  # its files have changed since
                log.error("certificates_not_read", why=str(e))
                del self._open[name]
                return None
            creator: Any = _Verified(context, goal.name)
            factory = TLSMemoryBIOFactory(creator, True, factory)
        self._flows.opened_as(flow, outgoing.send)
        self._reactor.connectTCP(goal.peer.host, goal.peer.port, factory, CONNECT_S)
        return flow

    def ended(self, outgoing: _Outgoing, why: str) -> None:
        if self._open.pop(outgoing.flow.name, None) is None:
            return
        if outgoing.stream is None:
            log.info("connection_failed", peer=str(outgoing.flow.peer), why=why)
        self._flows.closed(outgoing.flow)
        self.events.closed(outgoing.flow)

    def close_all(self) -> None:
        for outgoing in tuple(self._open.values()):
            if outgoing.stream is not None:
                outgoing.stream.abort()
            self.ended(outgoing, "the gateway is stopping")
