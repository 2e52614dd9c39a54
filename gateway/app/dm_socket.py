"""One WebSocket (RFC 6455) of an app client, and the rules of its transport."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.app import messages, rpc
from gateway.app.methods import Methods, refusal
from gateway.app.origins import Origins
from gateway.app.rates import TokenBucket
from gateway.app.rpc import RpcFailure
from gateway.app.session import CLOSE_TOKEN, Session
from gateway.app.sessions import Sessions
from gateway.app.tokens import Tokens
from gateway.calls.ports import Clock, DelayedCall
from gateway.errors import GatewayError, RateLimited, TokenRefused, WrongState
from gateway.settings import AppSection
from gateway.values import Principal

log = structlog.get_logger()

SUBPROTOCOL: Final = "dm-call.v1"
OPEN_WITHIN_S: Final = 5.0
PING_EVERY_S: Final = 20.0
SILENT_S: Final = 45.0
PARSE_ERRORS: Final = 10
PARSE_ERRORS_WITHIN_S: Final = 60.0
SEND_BUFFER_BYTES: Final = 1024 * 1024  # several times what a resumed session may be told
POLICY_VIOLATION: Final = 1008
UNSUPPORTED: Final = 1003
INTERNAL_ERROR: Final = 1011
WAIT_BEHIND: Final = 20
"""Requests that may wait for an answer to ``session.open``."""


@dataclass(frozen=True, slots=True)
class Room:
    """What every socket shares."""

    section: AppSection
    ice_servers: Sequence[Mapping[str, Any]]
    clock: Clock
    tokens: Tokens
    sessions: Sessions
    methods: Methods
    origins: Origins
    seen: Callable[[Principal], None]

    def limits(self) -> dict[str, Any]:
        section = self.section
        return {
            "frame_bytes": rpc.MAX_FRAME_BYTES,
            "requests_per_s": section.requests_per_s,
            "requests_burst": section.requests_burst,
            "invites_per_minute": section.invites_per_minute,
            "reconnect_grace_s": section.reconnect_grace_s,
            "media_wait_s": section.media_wait_s,
            "ping_s": PING_EVERY_S,
            "silent_s": SILENT_S,
        }


class DmSocket(WebSocketServerProtocol):
    """Waits for ``session.open``, then is the ``Link`` of a session.

    It is also the producer of its transport: what the client does not take is kept in a
    bounded buffer, and a client that lets it overflow loses the socket.
    """

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._room = room
        self._session: Session | None = None
        self._timers: dict[str, DelayedCall] = {}
        self._heard_at = 0.0
        self._parse_errors: deque[float] = deque(maxlen=PARSE_ERRORS)
        self._rate = TokenBucket(5, 10, room.clock)
        self._paused = False
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._over = False
        self._opening = False
        self._behind: deque[rpc.Request] = deque()

    # -- autobahn's callbacks

    def onConnect(self, request: ConnectionRequest) -> str:
        if not self._room.origins.allowed(request.origin or None, request.headers.get("host")):
            log.info("socket_refused", why="origin", origin=str(request.origin)[:200])
            raise ConnectionDeny(403, "this origin may not open /v1/dm")
        if SUBPROTOCOL not in request.protocols:
            raise ConnectionDeny(400, f"the subprotocol {SUBPROTOCOL} is required")
        return SUBPROTOCOL

    def onOpen(self) -> None:
        self.unregisterProducer()  # the HTTP channel's, which is done
        self.registerProducer(self, True)
        clock = self._room.clock
        self._heard_at = clock.seconds()
        self._timers["open"] = clock.callLater(OPEN_WITHIN_S, self._not_opened)
        self._timers["ping"] = clock.callLater(PING_EVERY_S, self._keep_alive)
        self._timers["silent"] = clock.callLater(SILENT_S, self._silent)

    def onMessage(self, payload: bytes, binary: bool) -> None:
        self._heard()
        if self._over:
            return
        if binary:
            self.close(UNSUPPORTED, "text frames only")
            return
        try:
            request = rpc.parse(payload.decode())
        except RpcFailure as refused:
            self._misframed(refused)
            return
        if not self._opening:
            self._take(request)
        elif len(self._behind) < WAIT_BEHIND:
            self._behind.append(request)
        else:
            self.close(POLICY_VIOLATION, "too many requests")

    def _take(self, request: rpc.Request) -> None:
        if self._session is None:
            self._first(request)
        else:
            self._next(self._session, request)

    def onPing(self, payload: bytes) -> None:
        self._heard()
        super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        self._heard()
        if self._session is not None:
            self._session.pong(self, payload)

    def onClose(self, clean: bool, code: int | None, reason: str | None) -> None:
        self._gone()

    # -- Link

    def send(self, text: str) -> None:
        size = len(text.encode())
        if size > rpc.MAX_FRAME_BYTES:
            log.error("message_too_large", bytes=size)
            return
        if self._over:
            return
        if not self._paused:
            self.sendMessage(text.encode())
            return
        if self._waiting_bytes + size > SEND_BUFFER_BYTES:
            log.warning("slow_client", client=self._session and self._session.client.id)
            self._drop()
            return
        self._waiting.append(text)
        self._waiting_bytes += size

    def ping(self, payload: bytes) -> None:
        if not self._over:
            self.sendPing(payload)

    def close(self, code: int, reason: str) -> None:
        if not self._over:
            self.resumeProducing()
            # sendClose takes none of the codes of RFC 6455 §7.4.1 but 1000
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode())
            self._gone()

    # -- producer (IPushProducer)

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        while self._waiting and not self._paused:
            text = self._waiting.popleft()
            self._waiting_bytes -= len(text.encode())
            self.sendMessage(text.encode())

    def stopProducing(self) -> None:
        self._paused = True

    # -- requests

    def _misframed(self, refused: RpcFailure) -> None:
        self._tell(rpc.failure(refused.id, refused))
        if refused.code != rpc.PARSE_ERROR:
            self._spend()
            return
        now = self._room.clock.seconds()
        self._parse_errors.append(now)
        full = len(self._parse_errors) == PARSE_ERRORS
        if full and now - self._parse_errors[0] < PARSE_ERRORS_WITHIN_S:
            self.close(POLICY_VIOLATION, "too many frames that are not JSON")

    def _spend(self) -> float:
        return (self._rate if self._session is None else self._session.rate).take()

    def _next(self, session: Session, request: rpc.Request) -> None:
        wait = self._spend()
        if wait:
            if request.answered:
                late = refusal(RateLimited("requests", wait))
                session.tell(rpc.failure(request.id, late))
            return
        if request.method == "session.open":
            self._open(request)
        else:
            self._room.methods.take(session, request)

    def _first(self, request: rpc.Request) -> None:
        if request.method != "session.open":
            refused = RpcFailure(CLOSE_TOKEN, "session.open must be the first request")
            self._tell(rpc.failure(request.id, refused))
            self.close(CLOSE_TOKEN, "session.open must be the first request")
        elif self._spend():
            self.close(POLICY_VIOLATION, "too many requests")
        else:
            self._open(request)

    def _open(self, request: rpc.Request) -> None:
        """What comes behind is taken in its turn: reading a token may need its key first."""
        self._opening = True
        opening = Deferred.fromCoroutine(self._opened(request))
        opening.addErrback(self._broke)
        opening.addCallback(lambda _: self._go_on())

    def _go_on(self) -> None:
        self._opening = False
        while self._behind and not self._opening and not self._over:
            self._take(self._behind.popleft())

    def _broke(self, failure: Failure) -> None:
        log.error("session_open_broke", traceback=failure.getTraceback())
        self.close(INTERNAL_ERROR, "the gateway failed")

    async def _opened(self, request: rpc.Request) -> None:
        """Open, resume, or (on an open session) renew the token."""
        try:
            params = messages.read(messages.SessionOpen, request.params)
            principal = await self._room.tokens.read(params.token)
            if self._over:
                return
            session = self._room.sessions.find(params.resume, principal)
            if self._session is not None and session is not self._session:
                raise WrongState("session.open", "open")
            fresh = session is None
            if session is None:
                session = self._room.sessions.new(principal)
        except RpcFailure as refused:
            self._tell(rpc.failure(request.id, refused))
            return
        except GatewayError as e:
            self._tell(rpc.failure(request.id, refusal(e)))
            if self._session is None and not isinstance(e, TokenRefused):
                self.close(e.rpc_code, str(e))
            return
        self._stop("open")
        self._room.seen(principal)
        renewed = session is self._session
        self._session = session
        result = {
            "session": session.name,
            "user": {"address": str(principal.address), "name": principal.name},
            "ice_servers": list(self._room.ice_servers),
            "limits": self._room.limits(),
        }
        if renewed:
            session.renew(principal)
            session.tell(rpc.result(request.id, result))
            return
        session.attach(self, principal, request.id, result)
        if fresh:
            self._room.sessions.joined(session)

    def _tell(self, text: str) -> None:
        if self._session is None:
            self.send(text)
        else:
            self._session.tell(text)

    # -- time

    def _heard(self) -> None:
        self._heard_at = self._room.clock.seconds()

    def _not_opened(self) -> None:
        self.close(CLOSE_TOKEN, "no session.open in time")

    def _keep_alive(self) -> None:
        self.ping(b"")
        self._timers["ping"] = self._room.clock.callLater(PING_EVERY_S, self._keep_alive)

    def _silent(self) -> None:
        left = self._heard_at + SILENT_S - self._room.clock.seconds()
        if left > 0:
            self._timers["silent"] = self._room.clock.callLater(left, self._silent)
            return
        log.info("socket_silent", client=self._session and self._session.client.id)
        self._drop()

    def _drop(self) -> None:
        self._gone()
        self.dropConnection(abort=True)

    def _gone(self) -> None:
        """Once: no timer is left, and the session knows."""
        self._over = True
        self._waiting.clear()
        self._behind.clear()
        for name in tuple(self._timers):
            self._stop(name)
        session = self._session
        if session is not None:
            session.lost(self)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()


class DmSocketFactory(WebSocketServerFactory):
    def __init__(self, room: Room, reactor: Any) -> None:
        super().__init__(protocols=[SUBPROTOCOL], reactor=reactor, server="dm-gateway")
        self._room = room
        self.setProtocolOptions(
            webStatus=False,
            maxFramePayloadSize=rpc.MAX_FRAME_BYTES,
            maxMessagePayloadSize=rpc.MAX_FRAME_BYTES,
            failByDrop=False,
            openHandshakeTimeout=OPEN_WITHIN_S,
            closeHandshakeTimeout=2,
            tcpNoDelay=True,
            # sockets that are being replaced, or have not opened yet, come on top
            maxConnections=room.section.max_clients * 2 + 100,
        )

    def buildProtocol(self, addr: object) -> DmSocket:
        protocol = DmSocket(self._room)
        protocol.factory = self
        return protocol
