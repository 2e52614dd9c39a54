"""Health, readiness, the page's files and the development sign-in."""

from __future__ import annotations

import gzip
import json
import urllib.request
from email.message import Message
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.threads import deferToThread

from gateway.app.origins import Origins
from gateway.errors import CannotStart
from gateway.settings import Settings
from tests.app.scripted import Server, Started, settings
from tests.peers.waiting import reactor


async def ask(method: str, url: str, **more: Any) -> tuple[Any, bytes]:
    response = await treq.request(method, url, persistent=False, timeout=5, **more)
    return response, await response.content()


def header(response: Any, name: str) -> str | None:
    values = response.headers.getRawHeaders(name)
    return values[0] if values else None


@pytest_twisted.ensureDeferred
async def test_health_and_readiness(started: Started) -> None:
    why: list[str] = []
    server = await started(ready=lambda: why)
    response, body = await ask("GET", f"{server.url}/healthz")
    assert response.code == 200
    response, body = await ask("GET", f"{server.url}/readyz")
    assert (response.code, json.loads(body)) == (200, {"ready": True, "why": []})
    why.append("draining")
    response, body = await ask("GET", f"{server.url}/readyz")
    assert (response.code, json.loads(body)) == (503, {"ready": False, "why": ["draining"]})
    response, _ = await ask("GET", f"{server.url}/healthz")
    assert response.code == 200
    assert header(response, "X-Content-Type-Options") == "nosniff"
    assert header(response, "Server") == "dm-gateway"


@pytest_twisted.ensureDeferred
async def test_other_methods_and_paths(started: Started) -> None:
    server = await started(settings(dev_login=True))
    for method, path, code in (
        ("POST", "/healthz", 405),
        ("DELETE", "/app", 405),
        ("PUT", "/v1/dm", 405),
        ("GET", "/app/dev-login", 404),
        ("GET", "/v1/dm", 426),
        ("GET", "/nothing", 404),
        ("GET", "/app/nothing.js", 404),
        ("GET", "/app/..%2f__init__.py", 404),
        ("GET", "/app/%2e%2e/pages.py", 404),
        ("HEAD", "/app", 200),
    ):
        response, body = await ask(method, server.url + path)
        assert (method, path, response.code) == (method, path, code)
        if method == "HEAD":
            assert body == b""


def fetched(url: str, accepted: str) -> tuple[Message, bytes]:
    """As it comes over the wire, which treq would unpack."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": accepted})
    with urllib.request.urlopen(request, timeout=5) as response:
        return response.headers, response.read()


@pytest_twisted.ensureDeferred
async def test_the_page_and_its_files(started: Started) -> None:
    server = await started()
    for path in ("/app", "/app/"):
        response, body = await ask("GET", server.url + path)
        assert response.code == 200
        assert b"/app/app.js" in body
    for path, kind in (
        ("/app/app.js", "text/javascript; charset=utf-8"),
        ("/app/dm-call.js", "text/javascript; charset=utf-8"),
        ("/app/app.css", "text/css; charset=utf-8"),
        ("/app/icon.svg", "image/svg+xml"),
    ):
        response, body = await ask("GET", server.url + path)
        assert header(response, "Content-Type") == kind
        for accepted, coding in (("gzip;q=0, identity", None), ("br, gzip", "gzip")):
            headers, raw = await deferToThread(fetched, server.url + path, accepted)
            assert headers["Content-Encoding"] == coding
            assert int(headers["Content-Length"]) == len(raw)
            assert headers["Vary"] == "Accept-Encoding"
            assert (raw if coding is None else gzip.decompress(raw)) == body
        policy = header(response, "Content-Security-Policy") or ""
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        tag = header(response, "ETag")
        assert tag
        again, nothing = await ask("GET", server.url + path, headers={"If-None-Match": tag})
        assert (again.code, nothing) == (304, b"")


@pytest_twisted.ensureDeferred
async def test_development_sign_in(started: Started) -> None:
    server = await started(settings(dev_login=True))
    _, body = await ask("GET", f"{server.url}/app/dev-users")
    people = json.loads(body)
    assert [u["handle"] for u in people["users"]][:2] == ["alice", "bob"]
    assert people["softphones"] == [{"name": "Softphone 1001", "address": "sip:1001@dm.localhost"}]
    url = f"{server.url}/app/dev-login"
    response, body = await ask("POST", url, json={"user": "alice"})
    assert response.code == 200
    client = await server.socket()
    answer = await client.open(json.loads(body)["token"])
    assert answer["result"]["user"] == {"address": "user:alice", "name": "Alice Amari"}

    as_json = {"Content-Type": "application/json"}
    for code, body_sent, headers in (
        (404, {"user": "mallory"}, as_json),
        (400, {"user": 1}, as_json),
        (400, {"user": "alice", "age": "18+"}, as_json),
        (400, [], as_json),
        (415, {"user": "alice"}, {"Content-Type": "text/plain"}),
        (403, {"user": "alice"}, as_json | {"Origin": "https://evil.example"}),
        (403, {"user": "alice"}, as_json | {"Host": "rebound.example"}),
    ):
        response, body = await ask(
            "POST", url, data=json.dumps(body_sent).encode(), headers=headers
        )
        assert response.code == code, body_sent
        assert b"token" not in body


@pytest_twisted.ensureDeferred
async def test_without_development_sign_in_there_is_none(started: Started) -> None:
    server = await started()
    response, _ = await ask("GET", f"{server.url}/app/dev-users")
    assert response.code == 404
    response, _ = await ask("POST", f"{server.url}/app/dev-login", json={"user": "alice"})
    assert response.code in (404, 405)


class _Raw(protocol.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.closed: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.closed.callback(self.data)


async def raw(server: Server, request: bytes) -> bytes:
    """What the server says until it closes."""
    address = server.server.address
    endpoint = HostnameEndpoint(reactor, address.host, address.port)
    connection = await connectProtocol(endpoint, _Raw())
    connection.transport.write(request)
    connection.closed.addTimeout(5, reactor)
    return bytes(await connection.closed)


@pytest_twisted.ensureDeferred
async def test_bodies_are_bounded(started: Started) -> None:
    server = await started(settings(dev_login=True))
    head = b"POST /app/dev-login HTTP/1.1\r\nHost: localhost\r\n"
    for request in (
        b"Content-Length: 99999999\r\n\r\n",
        b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000,
        b"Transfer-Encoding: chunked\r\n\r\n4e20\r\n" + b"x" * 20_000 + b"\r\n0\r\n\r\n",
    ):
        said = await raw(server, head + request)
        assert said.startswith(b"HTTP/1.1 413 ")
        assert said.count(b"HTTP/1.1") == 1


@pytest_twisted.ensureDeferred
async def test_a_port_in_use_is_told_clearly(started: Started) -> None:
    server = await started()
    taken = server.settings.model_dump()
    taken["http"]["port"] = server.server.address.port
    taken["app"]["token"]["secret"] = "x" * 32
    for account in taken["sip"]["accounts"]:
        account["password"] = "secret1001"
    with pytest.raises(CannotStart, match="cannot listen"):
        await started(Settings.model_validate(taken))


def test_origins() -> None:
    origins = Origins(["https://dm.example", "capacitor://localhost", "http://[::1]:3000"])
    for origin in ("https://dm.example:443", "capacitor://localhost", "http://[::1]:3000", None):
        assert origins.allowed(origin, "gateway.example")
    for origin in ("https://gateway.example", "http://GATEWAY.example:80"):
        assert origins.allowed(origin, "gateway.example")
    for origin in (
        "null",
        "",
        "x",
        "http://gateway.example:81",
        "https://a.dm.example",
        "http://[",
    ):
        assert not origins.allowed(origin, "gateway.example")
    assert not origins.allowed("http://gateway.example", None)
