"""A certificate repository: https on loopback, with what each test has it answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.peers.waiting import reactor
from tests.stir.authority import Issued, issue

Answer = Callable[[Request], Any]


def says(body: bytes, cache: str | None = None, code: int = 200) -> Answer:
    def answer(request: Request) -> bytes:
        request.setResponseCode(code)
        if cache is not None:
            request.setHeader("Cache-Control", cache)
        return body

    return answer


def redirects(to: str) -> Answer:
    def answer(request: Request) -> bytes:
        request.redirect(to.encode())
        return b""

    return answer


def begins(body: bytes) -> Answer:
    """Never finishes."""

    def answer(request: Request) -> int:
        request.write(body)
        return NOT_DONE_YET

    return answer


def endless(piece: bytes) -> Answer:
    """Writes as fast as it is read."""

    class Writer:
        def resumeProducing(self) -> None:
            request.write(piece)

        def pauseProducing(self) -> None: ...
        def stopProducing(self) -> None: ...

    def answer(asked: Request) -> int:
        nonlocal request
        request = asked
        asked.registerProducer(Writer(), False)
        return NOT_DONE_YET

    request: Any = None
    return answer


class _Paths(Resource):
    isLeaf = True

    def __init__(self, repository: Repository) -> None:
        super().__init__()
        self._repository = repository

    def render_GET(self, request: Request) -> Any:
        path = request.path.decode()
        self._repository.asked[path] += 1
        return self._repository.answers.get(path, says(b"", code=404))(request)


class _Watched(ProtocolWrapper):
    def connectionMade(self) -> None:
        self.factory.repository.opened += 1
        super().connectionMade()

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.factory.repository.one_closed()


class Repository:
    """``answers`` by path; ``url(path)`` is where; ``ca`` signed its certificate."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.opened = 0
        self.closed = 0
        self._waiting: list[Deferred[None]] = []
        self.ca = issue("Web CA", ca=True, begins=0, ends=4e9)
        self.server = issue(
            "server", self.ca, names=(host, "certs.example"), tn=None, begins=0, ends=4e9
        )
        self._port: Any = None

    def start(self) -> None:
        site = WrappingFactory(Site(_Paths(self)))
        site.protocol = _Watched
        site.repository = self
        self._port = reactor.listenSSL(0, site, tls_options(self.server), interface=self.host)

    async def stop(self) -> None:
        await self._port.stopListening()

    @property
    def port(self) -> int:
        found: int = self._port.getHost().port
        return found

    def url(self, path: str, host: str | None = None) -> str:
        return f"https://{host or self.host}:{self.port}{path}"

    def one_closed(self) -> None:
        self.closed += 1
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    async def all_closed(self) -> None:
        while self.closed < self.opened:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await waiter.addTimeout(10, reactor)

    def write_ca(self, directory: Path) -> Path:
        file = directory / "web-ca.pem"
        file.write_bytes(self.ca.pem)
        return file


def tls_options(issued: Issued) -> Any:
    return CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(issued.key),
        certificate=crypto.X509.from_cryptography(issued.certificate),
    )
