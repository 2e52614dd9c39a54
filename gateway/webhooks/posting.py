"""One event over HTTP to its receiver."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from gateway import __version__
from gateway.calls.event_ports import QueuedEvent
from gateway.policy.addresses import is_public
from gateway.settings import Webhook
from gateway.webhooks.signing import HEADER, signature

MAX_ANSWER: Final = 65_536
KEPT_S: Final = 30


class Undelivered(Exception):
    """Says why, in words for the log."""


@implementer(IAgentEndpointFactory)
class Endpoints:
    """``private``: any address will do; else those of the Internet at large alone."""

    def __init__(self, reactor: Any, private: bool, timeout_s: float) -> None:
        self._reactor = reactor
        self._private = private
        self._timeout_s = timeout_s

    def endpointForURI(self, uri: URI) -> Any:
        host, port = uri.host.decode("ascii"), uri.port
        plain: Any = _Checked(self._reactor, host.strip("[]"), port, self._private, self._timeout_s)
        if uri.scheme != b"https":
            return plain
        return wrapClientTLS(optionsForClientTLS(host.strip("[]")), plain)


@implementer(IStreamClientEndpoint)
class _Checked:
    """Connects to the very address that was looked at: a name may mean another a moment later."""

    def __init__(self, reactor: Any, host: str, port: int, private: bool, timeout_s: float) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._private = private
        self._timeout_s = timeout_s

    def connect(self, factory: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: Any) -> Any:
        address = (await self._addresses())[0]
        endpoint = HostnameEndpoint(self._reactor, address, self._port, self._timeout_s)
        return await endpoint.connect(factory)

    async def _addresses(self) -> Sequence[str]:
        found: list[str] = []
        pool = self._reactor.getThreadPool()
        try:
            answers = await deferToThreadPool(
                self._reactor, pool, socket.getaddrinfo, self._host, None, 0, socket.SOCK_STREAM
            )
        except OSError as e:
            raise Undelivered(f"{self._host} has no address: {e.strerror}") from e
        for *_, place in answers:
            found.append(str(place[0]))
        usable = [a for a in found if self._private or is_public(a)]
        if not usable:
            raise Undelivered(f"{self._host} has a private address; webhooks[].private allows it")
        return usable


class Poster:
    def __init__(self, webhook: Webhook, key: bytes, reactor: Any) -> None:
        self._webhook = webhook
        self._key = key
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = webhook.concurrency
        self._pool.cachedConnectionTimeout = KEPT_S
        private = webhook.private or _is_loopback(webhook.url)
        endpoints = Endpoints(reactor, private, webhook.timeout_s)
        self._agent = Agent.usingEndpointFactory(reactor, endpoints, self._pool)

    async def post(self, event: QueuedEvent) -> None:
        """Delivered where it returns; ``Undelivered`` says why not."""
        work = Deferred.fromCoroutine(self._post(event))
        work.addTimeout(self._webhook.timeout_s, self._reactor, _too_late)
        try:
            await work
        except Undelivered:
            raise
        except Exception as e:  # Twisted has a hundred ways for a connection to fail
            raise Undelivered(_why(e)) from e

    async def _post(self, event: QueuedEvent) -> None:
        body = event.body.encode()
        at = int(self._reactor.seconds())
        headers = Headers()
        headers.addRawHeader("Content-Type", "application/json")
        headers.addRawHeader("User-Agent", f"dm-gateway/{__version__}")
        headers.addRawHeader("DMGW-Event", event.event)
        headers.addRawHeader(HEADER, signature(self._key, at, body))
        url = self._webhook.url.encode("ascii")
        response = await self._agent.request(b"POST", url, headers, _Body(body))
        drained = _Drain()
        response.deliverBody(drained)
        await drained.done
        if not 200 <= response.code < 300:
            raise Undelivered(f"it answered {response.code}")

    async def stop(self) -> None:
        await self._pool.closeCachedConnections()


@implementer(IBodyProducer)
class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...


class _Drain(Protocol):
    """Reads an answer to its end, or as far as anybody could want."""

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred()
        self._bytes = 0

    def dataReceived(self, data: bytes) -> None:
        self._bytes += len(data)
        transport: Any = self.transport
        if self._bytes > MAX_ANSWER:
            transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        if not self.done.called:
            self.done.callback(None)


def _too_late(_failure: object, seconds: float) -> Failure:
    return Failure(Undelivered(f"no answer in {seconds:g} s"))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why(e: BaseException) -> str:
    reasons = getattr(e, "reasons", None)
    inner = reasons[0].value if reasons else e
    return (str(inner) or type(inner).__name__)[:200]
