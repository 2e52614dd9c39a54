"""Where a JWK Set is read: a URL or a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from gateway.app.jwks import Document, Source
from gateway.app.keys import NoKeys
from gateway.errors import CannotStart
from gateway.settings import TokenSection

MAX_BYTES: Final = 262_144
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,10})")


def source_of(section: TokenSection, reactor: Any) -> Source:
    """``CannotStart`` where ``jwks_ca_file`` cannot be used."""
    if section.jwks_url is not None:
        return _Http(section.jwks_url, section.jwks_ca_file, reactor).read
    path = section.jwks_file or Path()

    async def read() -> Document:
        try:
            return await deferToThreadPool(reactor, reactor.getThreadPool(), file_document, path)
        except OSError as e:
            raise NoKeys(f"{path}: {e.strerror}") from e

    return read


def file_document(path: Path) -> Document:
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise NoKeys(f"has more than {MAX_BYTES} octets")
    return Document(text)


class _Http:
    """No redirects: the settings name the one place that is believed."""

    def __init__(self, url: str, ca_file: Path | None, reactor: Any) -> None:
        self._url = url.encode("ascii")
        self._agent: Any = Agent(reactor, BrowserLikePolicyForHTTPS(_authorities(ca_file)))

    async def read(self) -> Document:
        try:
            return await self._read()
        except NoKeys:
            raise
        except Exception as e:  # Twisted has a hundred ways for a connection to fail
            raise NoKeys(_why(e)) from e

    async def _read(self) -> Document:
        headers = Headers({"Accept": ["application/jwk-set+json, application/json"]})
        headers.addRawHeader("User-Agent", "dm-gateway")
        response = await self._agent.request(b"GET", self._url, headers)
        body = _Body()
        response.deliverBody(body)
        if response.code != 200:
            body.done.addErrback(lambda _: None)  # nobody reads it
            body.abort()
            raise NoKeys(f"it answered {response.code}")
        text = await body.done
        return Document(text, _max_age(response.headers.getRawHeaders("Cache-Control", [])))


class _Body(Protocol):
    """Collects up to ``MAX_BYTES``; its connection ends with whoever gives up."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._left = MAX_BYTES
        self.done: Deferred[bytes] = Deferred(lambda _: self.abort())

    def abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._parts.append(data)
        elif not self.done.called:
            self._parts.clear()
            self.done.errback(NoKeys(f"has more than {MAX_BYTES} octets"))
            self.abort()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # has a default
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(reason)


def _max_age(lines: Sequence[str]) -> float | None:
    said = ",".join(lines).lower()
    if "no-store" in said or "no-cache" in said:
        return 0.0
    found = _MAX_AGE.search(said)
    return float(found[1]) if found else None


def _authorities(file: Path | None) -> Any:
    if file is None:
        return platformTrust()
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as e:
        raise CannotStart(f"app.token.jwks_ca_file: {file} has no certificates: {e}") from e
    ders = (certificate.public_bytes(Encoding.DER) for certificate in found)
    return trustRootFromCertificates([Certificate.load(der) for der in ders])


def _why(e: BaseException) -> str:
    reasons = getattr(e, "reasons", None)
    inner = reasons[0].value if reasons else e
    return (str(inner) or type(inner).__name__)[:200]
