"""The HTTP side: one port for the WebSocket, health, readiness and the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from autobahn.twisted.resource import WebSocketResource
from klein import Klein
from twisted.internet.error import CannotListenError
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from gateway.app.dm_socket import DmSocketFactory, Room
from gateway.app.methods import Methods
from gateway.app.origins import Origins
from gateway.app.pass_methods import PassMethods
from gateway.app.people_methods import PeopleMethods
from gateway.app.pin_methods import PinMethods
from gateway.app.relay import Relay
from gateway.app.review_methods import ReviewMethods
from gateway.app.sessions import Sessions
from gateway.app.tokens import Tokens
from gateway.calls.pin_ports import Pins
from gateway.calls.ports import Clock, DmCalls, History
from gateway.errors import CannotStart
from gateway.settings import Settings
from gateway.values import HostPort

log = structlog.get_logger()

MAX_BODY_BYTES = 16_384
IDLE_S = 30
_PROBLEM = b'{"type":"about:blank","title":"Content Too Large","status":413,'
_PROBLEM += b'"detail":"a body has at most %d bytes"}' % MAX_BODY_BYTES
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
TOO_LARGE += b"Content-Type: application/problem+json\r\n"
TOO_LARGE += b"Content-Length: %d\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)


class BoundedRequest(Request):
    """A request whose body is bounded before it is read; common headers on every answer."""

    _body_bytes = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Called with the head read: the announced length, or ``None`` when it is chunked."""
        if length is not None and length > MAX_BODY_BYTES:
            self._refuse()
        super().gotLength(0 if self._refused else length)

    def handleContentChunk(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse()
        if not self._refused:
            super().handleContentChunk(data)

    def _refuse(self) -> None:
        channel: Any = self.channel
        if not self._refused and channel is not None:
            self._refused = True
            channel.transport.write(TOO_LARGE)
            channel.loseConnection()

    def process(self) -> None:
        if self._refused:
            return
        self.setHeader(b"X-Content-Type-Options", b"nosniff")
        self.setHeader(b"Referrer-Policy", b"no-referrer")
        super().process()

    def render(self, resrc: Any) -> None:
        self.setHeader(b"Server", b"dm-gateway")  # no version for the curious
        super().render(resrc)


def send_json(request: Request, code: int, value: Any) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-store")
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def body_of(request: Request) -> bytes:
    content: Any = request.content
    return bytes(content.read())


class Mountable(Protocol):
    def mount(self, app: Klein) -> None:
        """Add routes."""


class _Root(Resource):
    """The API has everything under ``/v1`` but the WebSocket, where there is an API."""

    isLeaf = True

    def __init__(self, rest: Any, api: Any) -> None:
        super().__init__()
        self._rest = rest
        self._api = api

    def render(self, request: Request) -> Any:
        asked = request.path.startswith(b"/v1/") and request.path != b"/v1/dm"
        return (self._api if asked and self._api is not None else self._rest).render(request)


class AppServer:
    """Everything that app clients and load balancers reach over HTTP.

    ``reactor`` listens; ``clock`` (the reactor, unless tests give another) must tell the time of
    day, as tokens need it.

    ``ready`` says what keeps the gateway from taking calls (nothing: it is ready); ``pages``
    adds routes of its own; ``api`` has the rest of ``/v1``.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        sessions: Sessions,
        calls: DmCalls,
        history: History,
        pins: Pins,
        reviews: ReviewMethods,
        people: PeopleMethods,
        passes: PassMethods,
        ready: Callable[[], Sequence[str]],
        pages: Mountable,
        tokens: Tokens,
        clock: Clock | None = None,
        api: Resource | None = None,
    ) -> None:
        self._http = settings.http
        self._reactor = reactor
        self._sessions = sessions
        self._ready = ready
        self._port: Any = None  # an IListeningPort
        sessions.watcher = calls
        room = Room(
            section=settings.app,
            ice_servers=[dict(server) for server in settings.webrtc.ice_servers],
            clock=clock or reactor,
            tokens=tokens,
            sessions=sessions,
            methods=Methods(
                calls,
                history,
                sessions,
                PinMethods(pins, reactor.seconds),
                reviews,
                people,
                passes,
                Relay(sessions, (clock or reactor).seconds) if settings.app.dev_login else None,
            ),
            seen=people.seen,
            origins=Origins(settings.http.allowed_origins),
        )
        socket = WebSocketResource(DmSocketFactory(room, reactor))
        root = _Root(_routes(socket, pages, ready).resource(), api)
        self._site = Site(root, timeout=IDLE_S)
        self._site.requestFactory = BoundedRequest
        self._site.displayTracebacks = False

    @property
    def address(self) -> HostPort:
        """Where it listens; the real port where the settings say 0."""
        if self._port is None:
            raise CannotStart("the HTTP server has not been started")
        host = self._port.getHost()
        return HostPort(host.host, host.port)

    async def start(self) -> None:
        """Bind; ``CannotStart`` says where that failed."""
        where = HostPort(self._http.host, self._http.port)
        try:
            self._port = self._reactor.listenTCP(
                self._http.port, self._site, interface=self._http.host
            )
        except CannotListenError as e:
            raise CannotStart(
                f"HTTP cannot listen on {where} ({e.socketError}); choose http.host and http.port, "
                "or end the program that has that port"
            ) from e
        log.info("http_listening", address=str(self.address))

    async def stop(self) -> None:
        """Take no more connections and end every session.  Idempotent."""
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
        self._sessions.stop()


def _routes(socket: Any, pages: Mountable, ready: Callable[[], Sequence[str]]) -> Klein:
    app = Klein()

    @app.route("/v1/dm", methods=["GET"])
    def dm(_request: Request) -> Any:
        return socket

    @app.route("/healthz", methods=["GET"])
    def healthz(request: Request) -> bytes:
        return send_json(request, 200, {"alive": True})

    @app.route("/readyz", methods=["GET"])
    def readyz(request: Request) -> bytes:
        why = list(ready())
        return send_json(request, 503 if why else 200, {"ready": not why, "why": why})

    @app.route("/", methods=["GET"])
    def root(request: Request) -> bytes:
        request.redirect(b"/app")
        return b""

    pages.mount(app)
    return app
