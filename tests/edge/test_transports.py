"""TLS, WebSockets, IPv6, and connections of our own, over real sockets."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from gateway.errors import CannotStart, NoResponse
from gateway.sip.framing import KeepAlive, StreamFramer
from gateway.sip.message import Headers, Request, Response, response_to
from gateway.sip.parser import parse_datagram
from gateway.values import Hop, HostPort
from tests.edge.scene import PASSWORDS, SETTINGS, Outside, Scene
from tests.peers.waiting import Happenings, until
from tests.stir.authority import Issued, issue, pem_of_key

if TYPE_CHECKING:
    from gateway.edge.edge import Edge


class Papers:
    """A CA, and certificates by name; ``ca`` is its file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = issue("Test CA", ca=True, tn=None)
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self.root.pem)

    def write(self, file: str, *names: str) -> tuple[Path, Path]:
        made: Issued = issue(file, self.root, tn=None, names=names)
        certificate, key = self.directory / f"{file}.pem", self.directory / f"{file}.key"
        certificate.write_bytes(made.pem)
        key.write_bytes(pem_of_key(made.key))
        return certificate, key


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


class Maker:
    """Edges with settings of the test's own, stopped after it."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self.outside = Outside()

    async def __call__(self, *, trunks: tuple[Any, ...] = (), **settings: Any) -> Scene:
        from twisted.internet import reactor

        from gateway.edge.edge import Edge
        from gateway.settings import SipSection, Trunk

        section = SipSection.model_validate(
            SETTINGS.model_dump() | {"accounts": SETTINGS.accounts} | settings
        )
        known = tuple(Trunk.model_validate(t) for t in trunks)
        edge = Edge(section, PASSWORDS, reactor, self.outside, known)
        edge.wills = self.outside
        self.edges.append(edge)
        await edge.start()
        edge.serve(self.outside)
        return Scene(edge, self.outside)


@pytest.fixture
def make() -> Iterator[Maker]:
    made = Maker()
    yield made
    for edge in made.edges:
        pytest_twisted.blockon(Deferred.fromCoroutine(edge.stop()))


def request(method: str, uri: str, via: str, **fields: str) -> Request:
    items = {
        "Via": f"SIP/2.0/{via} 192.0.2.1;branch=z9hG4bK{fields.pop('branch', 'x')};rport",
        "Max-Forwards": "70",
        "From": "<sip:+4930123@carrier.example>;tag=a",
        "To": f"<{uri}>",
        "Call-ID": "t1",
        "CSeq": f"1 {method}",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return Request(headers=Headers.of(*items.items()), method=method, uri=uri)


class Peer(Protocol):
    """The other end of a stream: collects messages, and answers requests where it is to."""

    def __init__(self, answers: int = 0) -> None:
        self.messages: Happenings[Request | Response] = Happenings("stream peer")
        self.framer = StreamFramer(65_535)
        self.answers = answers
        self.closed = False
        self.pings = 0

    def dataReceived(self, data: bytes) -> None:
        for message in self.framer.feed(data):
            if isinstance(message, KeepAlive):
                self.pings += 1
                continue
            assert isinstance(message, Request | Response)
            self.messages.add(message)
            if isinstance(message, Request) and self.answers:
                self.say(response_to(message, self.answers, to_tag="p"))

    def say(self, message: Request | Response) -> None:
        transport: Any = self.transport
        transport.write(message.to_bytes())

    def connectionLost(self, reason: Any = None) -> None:
        self.closed = True

    async def response(self, code: int) -> Response:
        found = await self.messages.expect(
            lambda m: isinstance(m, Response) and m.code == code, f"{code}", 5
        )
        assert isinstance(found, Response)
        return found


def connect(port: int, context: Any = None, host: str = "127.0.0.1") -> Peer:
    from twisted.internet import reactor

    peer = Peer()
    factory: Any = ClientFactory()
    factory.noisy = False
    factory.buildProtocol = lambda _address: peer
    real: Any = reactor
    if context is None:
        real.connectTCP(host, port, factory)
    else:
        real.connectSSL(host, port, factory, context)
    return peer


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Contexts:
    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def _connection(self, _protocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)

    clientConnectionForTLS = serverConnectionForTLS = _connection


def client(papers: Papers | None = None, own: tuple[Path, Path] | None = None) -> Contexts:
    context = SSL.Context(SSL.TLS_METHOD)
    if papers is not None:
        context.load_verify_locations(str(papers.ca))
        context.set_verify(SSL.VERIFY_PEER, lambda _c, _x, _n, _d, ok: bool(ok))
    if own is not None:
        context.use_certificate_file(str(own[0]))
        context.use_privatekey_file(str(own[1]))
    return Contexts(context)


def server(papers: Papers, *names: str) -> tuple[int, list[Peer], Any]:
    """A carrier's TLS port with a certificate of these names."""
    from twisted.internet import reactor

    certificate, key = papers.write(f"server-{names[0]}", *names)
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_file(str(certificate))
    context.use_privatekey_file(str(key))
    peers: list[Peer] = []
    factory: Any = Factory()
    factory.noisy = False

    def build(_address: Any) -> Peer:
        peers.append(Peer(answers=200))
        return peers[-1]

    factory.buildProtocol = build
    real: Any = reactor
    port = real.listenSSL(0, factory, Contexts(context), interface="127.0.0.1")
    return port.getHost().port, peers, port


def tls(papers: Papers, *names: str, **more: Any) -> dict[str, Any]:
    certificate, key = papers.write("gateway", *(names or ("dm.localhost",)))
    return {"port": 0, "certificate_file": certificate, "key_file": key, **more}


@pytest_twisted.ensureDeferred
async def test_a_request_over_tls(make: Maker, papers: Papers) -> None:
    scene = await make(tls=tls(papers))
    port = scene.edge._at_ports["tls"]
    peer = connect(port, client(papers))
    await until(lambda: peer.transport, "a connection", 5)
    peer.say(request("OPTIONS", "sip:dm.localhost;transport=tls", "TLS"))
    answer = await peer.response(200)
    assert answer.top_via.transport == "TLS"
    peer.transport.loseConnection()  # type: ignore[union-attr]
    await until(lambda: not scene.edge.remembered()["connections"], "it closed", 5)


@pytest.mark.parametrize(
    ("version", "taken"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]
)
@pytest_twisted.ensureDeferred
async def test_versions_of_tls(make: Maker, papers: Papers, version: str, taken: bool) -> None:
    scene = await make(tls=tls(papers))
    at = f"127.0.0.1:{scene.edge._at_ports['tls']}"
    command = ["openssl", "s_client", "-connect", at, version, "-CAfile", str(papers.ca)]
    command += ["-cipher", "DEFAULT@SECLEVEL=0"]
    done = await deferToThread(
        subprocess.run, command, input=b"", capture_output=True, timeout=10, check=False
    )
    assert (b"CN = gateway" in done.stdout) is taken, done.stdout[-400:]


def shown(port: int, name: str, papers: Papers) -> str:
    """The subject of the certificate that a client is shown that asks for this name."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=10, check=False)
    return done.stdout.decode()


@pytest_twisted.ensureDeferred
async def test_certificates_by_name_and_read_anew(make: Maker, papers: Papers) -> None:
    other = papers.write("other", "other.example")
    more = [{"name": "other.example", "certificate_file": other[0], "key_file": other[1]}]
    section = tls(papers, certificates=more)
    scene = await make(tls=section)
    port = scene.edge._at_ports["tls"]
    assert "CN = gateway" in await deferToThread(shown, port, "dm.localhost", papers)
    assert "CN = other" in await deferToThread(shown, port, "other.example", papers)
    fresh = papers.write("renewed", "dm.localhost")
    section["key_file"].write_bytes(fresh[1].read_bytes())
    section["certificate_file"].write_bytes(b"half a file")
    scene.edge.sweep()  # broken: the old one stays in use
    assert "CN = gateway" in await deferToThread(shown, port, "dm.localhost", papers)
    section["certificate_file"].write_bytes(fresh[0].read_bytes())
    scene.edge.sweep()
    assert "CN = renewed" in await deferToThread(shown, port, "dm.localhost", papers)


@pytest_twisted.ensureDeferred
async def test_a_trunk_is_known_by_its_certificate(make: Maker, papers: Papers) -> None:
    trunk = {
        "name": "carrier",
        "address": "sip.carrier.example",
        "certificate_names": ["sip.carrier.example"],
    }
    section = tls(papers, clients="optional", client_ca_file=papers.ca)
    scene = await make(tls=section, trunks=(trunk,))
    port = scene.edge._at_ports["tls"]
    contact = "<sip:x@192.0.2.1;transport=tls>"
    cases: tuple[tuple[tuple[str, ...], int], ...] = (
        (("URI:sip:sip.carrier.example",), 404),
        (("sip.carrier.example",), 404),
        (("URI:sip:other.example", "sip.carrier.example"), 407),
        (("*.carrier.example",), 407),
        ((), 407),
    )
    for number, (names, code) in enumerate(cases):
        own = papers.write(f"carrier{number}", *names)
        call_id = f"call{number}"
        invite = request("INVITE", "sip:bob@dm.localhost", "TLS", branch=call_id, Contact=contact)
        peer = connect(port, client(papers, own if names else None))
        await until(lambda peer=peer: peer.transport, "a connection", 5)
        peer.say(invite)
        await peer.response(code)
        peer.transport.abortConnection()  # type: ignore[union-attr]
    assert [i.trunk for i in make.outside.invites] == ["carrier", "carrier"]


@pytest_twisted.ensureDeferred
async def test_clients_without_a_certificate_where_one_is_required(
    make: Maker, papers: Papers
) -> None:
    scene = await make(tls=tls(papers, clients="required", client_ca_file=papers.ca))
    peer = connect(scene.edge._at_ports["tls"], client(papers))
    await until(lambda: peer.closed, "it is closed", 5)
    assert not peer.messages.seen


def options() -> Request:
    made = request("OPTIONS", "sip:carrier.example", "TLS")
    return made.replaced(headers=made.headers.without("Via"))


@pytest_twisted.ensureDeferred
async def test_a_connection_to_a_trunk(make: Maker, papers: Papers) -> None:
    """Verified by its name, opened once, and used again."""
    port, peers, listening = server(papers, "sip.carrier.example")
    trunk = {"name": "carrier", "address": "sip.carrier.example", "ca_file": papers.ca}
    scene = await make(trunks=(trunk,))
    good = Hop("tls", HostPort("127.0.0.1", port), "sip.carrier.example")
    for _ in range(2):
        answer = await scene.edge.client.ask(options(), good, 5)
        assert answer.code == 200
        assert answer.top_via.transport == "TLS"
    assert len(peers) == 1
    await listening.stopListening()


@pytest.mark.parametrize("why", ["name", "authority", "refused"])
@pytest_twisted.ensureDeferred
async def test_a_trunk_that_is_not_who_it_should_be(make: Maker, papers: Papers, why: str) -> None:
    port, peers, listening = server(papers, "other.example")
    trunk = {"name": "carrier", "address": "sip.carrier.example"}
    if why == "name":
        trunk["ca_file"] = papers.ca  # type: ignore[assignment]
    scene = await make(trunks=(trunk,))
    if why == "refused":
        await listening.stopListening()
    hop = Hop("tls", HostPort("127.0.0.1", port), "sip.carrier.example")
    with pytest.raises(NoResponse, match="the connection is closed"):
        await scene.edge.client.ask(options(), hop, 30)
    assert not any(p.messages.seen for p in peers)
    assert scene.edge.remembered()["connections"] == 0
    if why != "refused":
        await listening.stopListening()


@pytest_twisted.ensureDeferred
async def test_an_invite_over_tcp_and_its_failure(make: Maker) -> None:
    from twisted.internet import reactor

    from tests.edge.scene import outgoing

    peers: list[Peer] = []
    factory: Any = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda _a: peers.append(Peer(answers=486)) or peers[-1]  # type: ignore[func-returns-value]
    real: Any = reactor
    listening = real.listenTCP(0, factory, interface="127.0.0.1")
    scene = await make()
    worker, phone = scene.worker(), scene.phone()
    port = listening.getHost().port
    hop = Hop("tcp", HostPort("127.0.0.1", port), "carrier.example")
    worker.send(outgoing(worker, phone, hop.flow))
    await worker.response(486)
    await until(lambda: peers and len(peers[0].messages.seen) >= 1, "the INVITE", 5)
    invite = peers[0].messages.seen[0]
    assert invite.top_via.transport == "TCP"
    assert "transport=tcp" in (invite.headers.get("Contact") or "")
    await listening.stopListening()
    peers[0].transport.loseConnection()  # type: ignore[union-attr]
    await until(lambda: not scene.edge.remembered()["connections"], "it closed", 5)
    again = outgoing(worker, phone, hop.flow)
    worker.send(again.replaced(headers=again.headers.replaced("Call-ID", "second")))
    await worker.response(503)
    for peer in scene.peers:
        await peer.close()


@pytest_twisted.ensureDeferred
async def test_sip_over_websockets(make: Maker) -> None:
    from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
    from twisted.internet import reactor

    scene = await make(websocket={"port": 0, "allowed_origins": ["https://app.example"]})
    port = scene.edge._at_ports["ws"]
    real: Any = reactor

    class Browser(WebSocketClientProtocol):
        def onOpen(self) -> None:
            happened.add("open")

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            message = parse_datagram(payload)
            assert isinstance(message, Response)
            happened.add(f"{message.code} {message.top_via.transport}")

        def onClose(self, wasClean: bool, code: int, reason: str) -> None:
            happened.add("closed")

    happened: Happenings[str] = Happenings("browser")

    def open_socket(protocols: list[str], origin: str | None) -> list[Any]:
        untyped: Any = WebSocketClientFactory
        factory = untyped(f"ws://127.0.0.1:{port}", protocols=protocols, origin=origin)
        made: list[Any] = []

        class Kept(Browser):
            def __init__(self) -> None:
                super().__init__()
                made.append(self)

        factory.protocol = Kept
        factory.noisy = False
        real.connectTCP("127.0.0.1", port, factory)
        return made

    sockets = open_socket(["sip"], "https://app.example")
    await happened.expect(lambda h: h == "open", "open", 5)
    uri = "sip:dm.localhost"
    options = request("OPTIONS", uri, "WS")
    via = options.headers.replaced("Via", "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKw;rport")
    sockets[0].sendMessage(options.replaced(headers=via).to_bytes(), isBinary=False)
    await happened.expect(lambda h: h == "200 WS", "200", 5)
    sockets[0].sendClose(1000)
    await until(lambda: not scene.edge.remembered()["connections"], "it closed", 5)
    for protocols, origin in ((["chat"], "https://app.example"), (["sip"], "https://evil.example")):
        seen = happened.mark()
        open_socket(protocols, origin)
        await happened.expect(lambda h: h == "closed", "refused", 5, seen)
        assert "open" not in happened.seen[seen:]


@pytest_twisted.ensureDeferred
async def test_ipv6(make: Maker) -> None:
    scene = await make(host6="::1")
    port = scene.edge.outer.port
    peer = connect(port, host="::1")
    await until(lambda: peer.transport, "a connection", 5)
    peer.say(request("OPTIONS", f"sip:[::1]:{port};transport=tcp", "TCP"))
    answer = await peer.response(200)
    assert answer.top_via.received == "::1"
    peer.transport.loseConnection()  # type: ignore[union-attr]

    def ask() -> bytes:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.bind(("::1", 0))
            s.sendto(request("OPTIONS", f"sip:[::1]:{port}", "UDP").to_bytes(), ("::1", port))
            return s.recv(65_535)

    told = parse_datagram(await deferToThread(ask))
    assert isinstance(told, Response)
    assert told.code == 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"certificate_file": "absent.pem"}, "absent.pem is no PEM certificate"),
        ({"key_file": "ca.pem"}, "is not the PEM key of"),
        ({"clients": "required", "client_ca_file": "gateway.key"}, "holds no PEM authorities"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_files_that_are_of_no_use(
    make: Maker, papers: Papers, change: dict[str, str], told: str
) -> None:
    section = tls(papers)
    section |= {k: papers.directory / v if "." in v else v for k, v in change.items()}
    with pytest.raises(CannotStart, match=told):
        await make(tls=section)


@pytest_twisted.ensureDeferred
async def test_an_authority_of_a_trunk_that_is_of_no_use(make: Maker, papers: Papers) -> None:
    trunk = {"name": "a", "address": "a.example", "ca_file": papers.directory / "absent.pem"}
    with pytest.raises(CannotStart, match=r"absent\.pem holds no PEM authorities"):
        await make(trunks=(trunk,))
