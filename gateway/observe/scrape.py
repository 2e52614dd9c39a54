"""``/metrics`` on its own port."""

from __future__ import annotations

from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST
from twisted.internet.error import CannotListenError
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from gateway.errors import CannotStart
from gateway.observe.metrics import Metrics
from gateway.settings import MetricsSection
from gateway.values import HostPort

log = structlog.get_logger()


class _Metrics(Resource):
    isLeaf = True

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", CONTENT_TYPE_LATEST.encode())
        request.setHeader(b"Cache-Control", b"no-store")
        return self._metrics.render()


class MetricsServer:
    def __init__(self, settings: MetricsSection, reactor: Any, metrics: Metrics) -> None:
        self._settings = settings
        self._reactor = reactor
        root: Any = Resource()
        root.putChild(b"metrics", _Metrics(metrics))
        self._site = Site(root, timeout=30)
        self._site.displayTracebacks = False
        self._port: Any = None

    async def start(self) -> None:
        """Bind; ``CannotStart`` says where that failed."""
        s = self._settings
        try:
            self._port = self._reactor.listenTCP(s.port, self._site, interface=s.host)
        except CannotListenError as e:
            where = HostPort(s.host, s.port)
            problem = f"metrics cannot listen on {where} ({e.socketError}); choose metrics.port"
            raise CannotStart(problem) from e
        log.info("metrics_listening", address=str(self.address))

    @property
    def address(self) -> HostPort:
        """Where it listens, with the port that was found where 0 was asked for."""
        at = self._port.getHost()
        return HostPort(at.host, at.port)

    async def stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
