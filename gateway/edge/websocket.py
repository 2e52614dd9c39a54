"""SIP over WebSockets (RFC 7118): a message a frame, over connections that others open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

import structlog
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest

from gateway.edge.flows import Flow, Flows
from gateway.edge.listeners import StreamEvents
from gateway.sip.errors import SipParseError
from gateway.sip.message import Message
from gateway.sip.parser import parse_datagram
from gateway.values import HostPort

log = structlog.get_logger()

SUBPROTOCOL: Final = "sip"
PING_S: Final = 30
PONG_S: Final = 10
OPEN_S: Final = 5


def _deny(code: int, why: str) -> Exception:
    refused: Any = ConnectionDeny
    made: Exception = refused(code, why)
    return made


class _Socket(WebSocketServerProtocol):
    factory: WebSockets

    def onConnect(self, request: ConnectionRequest) -> str:
        if SUBPROTOCOL not in request.protocols:
            raise _deny(400, "the subprotocol is sip (RFC 7118)")
        if not self.factory.admits(request.origin):
            raise _deny(403, "this origin is not allowed")
        return SUBPROTOCOL

    def onOpen(self) -> None:
        self.factory.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N803  # autobahn's name
        self.factory.heard(self, payload)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N803
        self.factory.gone(self)


class WebSockets(WebSocketServerFactory):
    """As ``listeners.Streams``, of browsers and their like."""

    noisy = False

    def __init__(
        self,
        events: StreamEvents,
        flows: Flows,
        kind: Literal["ws", "wss"],
        limit: int,
        max_bytes: int,
        origins: Sequence[str],
    ) -> None:
        base: Any = super()
        base.__init__(protocols=[SUBPROTOCOL])
        self._events = events
        self._flows = flows
        self._kind = kind
        self._limit = limit
        self._origins = frozenset(origins)
        self._open: dict[_Socket, Flow] = {}
        self._per_host: Counter[str] = Counter()
        self.protocol = _Socket
        untyped: Any = self
        untyped.setProtocolOptions(
            maxFramePayloadSize=max_bytes,
            maxMessagePayloadSize=max_bytes,
            openHandshakeTimeout=OPEN_S,
            autoPingInterval=PING_S,
            autoPingTimeout=PONG_S,
            perMessageCompressionAccept=lambda _offers: None,
        )

    def admits(self, origin: str | None) -> bool:
        """Browsers name the page's origin; what names none is no browser."""
        return origin in (None, "null") or not self._origins or origin in self._origins

    def opened(self, socket: _Socket) -> None:
        untyped: Any = socket
        peer = untyped.transport.getPeer()
        most = max(1, self._limit // 4)
        if len(self._open) >= self._limit or self._per_host[peer.host] >= most:
            self._events.dropped("connections")
            socket.sendClose(1013)
            return

        def send(data: bytes) -> None:
            untyped.sendMessage(data, isBinary=not _is_text(data))

        flow = self._flows.opened(HostPort(peer.host, peer.port), send, self._kind)
        self._open[socket] = flow
        self._per_host[peer.host] += 1

    def heard(self, socket: _Socket, payload: bytes) -> None:
        flow = self._open.get(socket)
        if flow is None or not payload.strip(b"\r\n\0"):
            return
        try:
            message: Message | SipParseError = parse_datagram(payload)
        except SipParseError as e:
            message = e
        self._events.message(message, flow)

    def gone(self, socket: _Socket) -> None:
        flow = self._open.pop(socket, None)
        if flow is None:
            return
        self._per_host[flow.peer.host] -= 1
        if self._per_host[flow.peer.host] <= 0:
            del self._per_host[flow.peer.host]
        self._flows.closed(flow)
        self._events.closed(flow)

    def close_all(self) -> None:
        for socket in tuple(self._open):
            socket.dropConnection(abort=True)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
