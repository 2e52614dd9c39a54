"""Certificates by https, from hosts that strangers name (RFC 8224 §6.2, RFC 7515 §4.1.5).

Only https, only public addresses unless the settings name the host, no redirects, no cookies, and
bounds on time and size: nobody can make the gateway knock at doors inside its own network.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from gateway.errors import CannotStart
from gateway.policy.addresses import is_public
from gateway.settings import StirSection
from gateway.stir.addresses import Resolve, system_resolver
from gateway.stir.rejected import Rejected

MAX_BODY: Final = 65_536
_MAX_WIRE: Final = MAX_BODY + 65_536
"""Octets a server may send in all, TLS handshake and headers included."""
_PORTS: Final = frozenset({443, 8443})
"""Where certificates are published (ATIS-1000074)."""
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,10})")
_ACCEPT: Final = "application/pem-certificate-chain, application/pkix-cert, */*;q=0.1"
_FAILURES: Final = (
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
    RequestTransmissionFailed,
    ResponseFailed,
    SSL.Error,
    defer.TimeoutError,
    OSError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """``max_age_s`` as Cache-Control has it (RFC 9111 §5.2.2.1), 0 for what is not to be kept."""

    body: bytes
    max_age_s: float | None


class Fetcher:
    """``CannotStart`` where ``stir.ca_file`` cannot be used."""

    def __init__(self, section: StirSection, reactor: Any, resolve: Resolve | None = None) -> None:
        self._section = section
        self._reactor = reactor
        self._resolve = resolve or system_resolver(reactor)
        self._tls = BrowserLikePolicyForHTTPS(_trust_root(section.ca_file))
        self._allowed = frozenset(host.lower() for host in section.allow_hosts)

    async def fetch(self, url: str) -> Fetched:
        """``Rejected`` as 436 where nothing comes of it."""
        host = _host(url)
        route = _Route(self._reactor, self._tls, self._resolve, self._allowed)
        getting = Deferred.fromCoroutine(self._get(url, route))
        getting.addTimeout(self._section.fetch_s, self._reactor, _too_slow)
        try:
            return await getting
        except _FAILURES as e:
            why = f"more than {_MAX_WIRE} octets came" if route.flooded else _why(e)
            raise _bad(f"{host}: {why}") from e
        finally:
            route.close()

    async def _get(self, url: str, route: _Route) -> Fetched:
        agent = Agent.usingEndpointFactory(self._reactor, route)
        headers = Headers({"Accept": [_ACCEPT], "User-Agent": ["dm-gateway"]})
        response = await agent.request(b"GET", url.encode("ascii"), headers)
        if response.code != 200:
            raise _bad(f"{urlsplit(url).hostname}: status {response.code}")
        body = _Body()
        response.deliverBody(body)
        data = await body.done
        return Fetched(data, _max_age(response.headers.getRawHeaders("Cache-Control", [])))


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as e:
        raise _bad("the certificate's URL cannot be read") from e
    plain = url.isascii() and url.isprintable() and "@" not in parts.netloc
    if parts.scheme != "https" or not parts.hostname or not plain:
        raise _bad("the certificate's URL is not a plain https URL")
    return parts.hostname


def _bad(why: str) -> Rejected:
    return Rejected("bad_identity_info", why)


def _too_slow(_: object, waited_s: float) -> Failure:
    """Whatever the cancelled request said of it."""
    return Failure(defer.TimeoutError(waited_s, "Deferred"))


def _why(error: BaseException) -> str:
    """What the network said; ``ResponseFailed`` and its kin carry it inside."""
    inner = getattr(error, "reasons", None)
    if inner:
        return _why(inner[0].value)
    if isinstance(error, defer.TimeoutError):
        return "no certificate in time"
    return (str(error) or type(error).__name__)[:200]


def _max_age(fields: Sequence[str]) -> float | None:
    text = ",".join(fields).lower()[:1000]
    if re.search(r"\bno-(store|cache)\b", text):
        return 0
    found = _MAX_AGE.search(text)
    return None if found is None else float(found[1])


def _trust_root(ca_file: Path | None) -> Any:
    if ca_file is None:
        return platformTrust()
    try:
        found = x509.load_pem_x509_certificates(ca_file.read_bytes())
    except OSError as e:
        raise CannotStart(f"stir.ca_file: {ca_file} cannot be read: {e.strerror}") from e
    except ValueError as e:
        raise CannotStart(f"stir.ca_file: {ca_file} is no PEM file of certificates") from e
    ders = (certificate.public_bytes(Encoding.DER) for certificate in found)
    return trustRootFromCertificates([Certificate.load(der) for der in ders])


class _Body(Protocol):
    """Collects up to ``MAX_BODY`` octets."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._left = MAX_BODY
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._parts.append(data)
        elif not self.done.called:
            self._parts.clear()
            self.done.errback(_bad(f"more than {MAX_BODY} octets came"))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # has a default
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(reason)


class _Bounded(ProtocolWrapper):
    """A connection that ends itself when its server sends too much."""

    def __init__(self, factory: Any, wrapped: Any) -> None:
        super().__init__(factory, wrapped)
        self._left = _MAX_WIRE

    @property
    def flooded(self) -> bool:
        return self._left < 0

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self.flooded:
            self.abortConnection()
        else:
            super().dataReceived(data)


@implementer(IAgentEndpointFactory)
class _Route:
    """The way of one request; ``close`` leaves no connection behind."""

    def __init__(
        self,
        reactor: Any,
        tls: BrowserLikePolicyForHTTPS,
        resolve: Resolve,
        allowed: frozenset[str],
    ) -> None:
        self._reactor = reactor
        self._tls = tls
        self._resolve = resolve
        self._allowed = allowed
        self._connections: list[_Bounded] = []

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        creator = self._tls.creatorForNetloc(uri.host, uri.port)
        host = uri.host.decode("ascii").strip("[]")
        guarded: Any = _Guarded(self, host, uri.port)
        endpoint: IStreamClientEndpoint = wrapClientTLS(creator, guarded)
        return endpoint

    async def connected(self, factory: IProtocolFactory, host: str, port: int) -> IProtocol:
        anywhere = host.lower() in self._allowed
        if port not in (range(1, 65_536) if anywhere else _PORTS):
            raise _bad(f"{host}: port {port} is none of certificates; 443 and 8443 are taken")
        last: Exception = DNSLookupError("has no address")
        for address in await self._resolve(host):
            if not (anywhere or is_public(address)):
                last = _bad(f"{host}: has an address that is not public; see stir.allow_hosts")
                continue
            v6 = isinstance(ipaddress.ip_address(address.partition("%")[0]), ipaddress.IPv6Address)
            kind = TCP6ClientEndpoint if v6 else TCP4ClientEndpoint
            wrapping: Any = WrappingFactory(factory)
            wrapping.protocol = _Bounded
            try:
                bounded: _Bounded = await kind(self._reactor, address, port).connect(wrapping)
            except ConnectError as e:
                last = e
                continue
            self._connections.append(bounded)
            wrapped: IProtocol = bounded.wrappedProtocol
            return wrapped
        raise last

    @property
    def flooded(self) -> bool:
        return any(connection.flooded for connection in self._connections)

    def close(self) -> None:
        for connection in self._connections:
            connection.abortConnection()


@implementer(IStreamClientEndpoint)
class _Guarded:
    def __init__(self, route: _Route, host: str, port: int) -> None:
        self._route = route
        self._host = host
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803
        return Deferred.fromCoroutine(
            self._route.connected(protocolFactory, self._host, self._port)
        )
