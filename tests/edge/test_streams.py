"""The edge's TCP side, over real connections."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from gateway.calls.ports import Forward
from gateway.edge.edge import Edge
from gateway.sip.framing import KeepAlive, StreamFramer
from gateway.sip.message import Request, Response, response_to
from gateway.values import LegId, SipAddress
from tests.edge.peers import WAIT_S
from tests.edge.scene import PASSWORDS, SETTINGS, Outside, Scene, cancel_of, outgoing


class Line(Protocol):
    """One TCP connection of a phone."""

    def __init__(self) -> None:
        self.framer = StreamFramer(65_535)
        self.raw: list[bytes] = []
        self.bytes: DeferredQueue[bytes] = DeferredQueue()
        self.messages: DeferredQueue[Any] = DeferredQueue()
        self.closed: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.raw.append(data)
        if data == b"\r\n":
            self.bytes.put(data)
            return
        for message in self.framer.feed(data):
            assert not isinstance(message, KeepAlive)
            self.messages.put(message)

    def connectionLost(self, reason: object = None) -> None:
        self.closed.callback(None)

    def send(self, *parts: Request | Response | bytes) -> None:
        transport: Any = self.transport
        transport.write(b"".join(p if isinstance(p, bytes) else p.to_bytes() for p in parts))

    async def next(self) -> Any:
        return await self.messages.get().addTimeout(WAIT_S, reactor)

    async def gone(self) -> None:
        await self.closed.addTimeout(WAIT_S, reactor)

    def hang_up(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


async def dial(edge: Edge) -> Line:
    endpoint = HostnameEndpoint(reactor, edge.outer.host, edge.outer.port)
    line: Line = await connectProtocol(endpoint, Line()).addTimeout(WAIT_S, reactor)
    return line


def over_tcp(message: Request) -> Request:
    headers = message.headers.replaced("Via", str(message.top_via).replace("/UDP", "/TCP"))
    return message.replaced(headers=headers)


async def registered(scene: Scene, line: Line) -> Any:
    phone = scene.phone()
    uri, to = "sip:dm.localhost", "sip:1001@dm.localhost"
    line.send(over_tcp(phone.message("REGISTER", uri, phone.contact, to=to)))
    challenge = await line.next()
    assert challenge.code == 401
    signed = phone.authorization(challenge, "REGISTER", uri, PASSWORDS["1001"])
    line.send(over_tcp(phone.message("REGISTER", uri, phone.contact, signed, to=to)))
    assert (await line.next()).code == 200
    return phone


@pytest_twisted.ensureDeferred
async def test_messages_in_pieces_and_in_one_go(scene: Scene) -> None:
    phone, line = scene.phone(), await dial(scene.edge)
    options = over_tcp(phone.message("OPTIONS", f"sip:{scene.edge.outer}"))
    data = options.to_bytes()
    for n in range(0, len(data), 7):
        line.send(data[n : n + 7])
    assert (await line.next()).code == 200
    line.send(data, data, b"\r\n", data)
    for _ in range(3):
        assert (await line.next()).code == 200
    line.hang_up()


@pytest_twisted.ensureDeferred
async def test_keep_alive_is_answered(scene: Scene) -> None:
    line = await dial(scene.edge)
    line.send(b"\r\n\r\n")
    assert await line.bytes.get().addTimeout(WAIT_S, reactor) == b"\r\n"
    line.hang_up()


@pytest_twisted.ensureDeferred
async def test_a_stream_that_lost_its_boundaries_is_closed(scene: Scene) -> None:
    line = await dial(scene.edge)
    phone = scene.phone()
    text = phone.message("OPTIONS", f"sip:{scene.edge.outer}").to_bytes()
    line.send(text.replace(b"Content-Length: 0\r\n", b""))
    await line.gone()
    assert scene.outside.dropped_for == ["framing"]
    assert scene.edge.remembered()["connections"] == 0


@pytest_twisted.ensureDeferred
async def test_connections_are_bounded_timed_out_and_closed_with_the_edge() -> None:
    outside = Outside()
    settings = SETTINGS.model_copy(update={"tcp_connections": 8, "tcp_idle_s": 0.2})
    edge = Edge(settings, PASSWORDS, reactor, outside)
    await edge.start()
    try:
        lines = [await dial(edge) for _ in range(3)]  # one address may have a quarter
        await lines[2].gone()
        assert outside.dropped_for == ["connections"]
        await lines[0].gone()  # by its idle time
        await lines[1].gone()
        last = await dial(edge)
    finally:
        await edge.stop()
    await last.gone()
    await edge.stop()


@pytest_twisted.ensureDeferred
async def test_over_the_rate_a_stream_is_told() -> None:
    outside = Outside()
    settings = SETTINGS.model_copy(update={"requests_per_s": 0.001, "requests_burst": 2})
    edge = Edge(settings, PASSWORDS, reactor, outside)
    await edge.start()
    scene = Scene(edge, outside)
    try:
        line, phone = await dial(edge), scene.phone()
        for code in (200, 200, 503):
            line.send(over_tcp(phone.message("OPTIONS", f"sip:{edge.outer}")))
            answer = await line.next()
            assert answer.code == code
        assert answer.headers.get("Retry-After") == "5"
        assert outside.dropped_for == ["rate"]
        line.hang_up()
        await line.gone()
        await phone.close()
    finally:
        await edge.stop()


@pytest_twisted.ensureDeferred
async def test_a_call_in_over_tcp_and_the_connection_dies_while_it_rings(scene: Scene) -> None:
    line, worker = await dial(scene.edge), scene.worker()
    phone = await registered(scene, line)
    scene.outside.decision = Forward(worker.address, LegId("leg1"))
    invite = over_tcp(phone.message("INVITE", "sip:bob@dm.localhost", phone.contact))
    line.send(invite)
    assert (await line.next()).code == 100
    seen = await worker.request("INVITE")
    worker.reply(seen, 180)
    ringing = await line.next()
    contact = ringing.contacts[0].uri
    assert contact.param("transport") == "tcp"
    assert (contact.host, contact.port) == (scene.edge.outer.host, scene.edge.outer.port)
    line.hang_up()
    given_up = await worker.request("CANCEL")
    assert given_up.top_via.branch == seen.top_via.branch
    assert given_up.cseq.number == seen.cseq.number
    worker.reply(given_up, 200)
    worker.reply(seen, 487)
    assert scene.edge.contacts(SipAddress("1001", "dm.localhost")) == ()
    await answered(scene)
    assert scene.edge.remembered()["dialogs"] == 0


async def answered(scene: Scene) -> None:
    """The edge has dealt with all that was sent before."""
    phone, line = scene.phone("1002"), await dial(scene.edge)
    line.send(over_tcp(phone.message("OPTIONS", f"sip:{scene.edge.outer}")))
    assert (await line.next()).code == 200
    line.hang_up()


@pytest_twisted.ensureDeferred
async def test_a_call_out_over_tcp(scene: Scene) -> None:
    line, worker = await dial(scene.edge), scene.worker()
    phone = await registered(scene, line)
    [contact] = scene.edge.contacts(SipAddress("1001", "dm.localhost"))
    invite = outgoing(worker, phone, contact.flow)
    worker.send(invite)
    rung = await line.next()
    assert (rung.method, rung.top_via.transport) == ("INVITE", "TCP")
    worker.send(invite)  # a retransmission: the stream has delivered the first
    line.send(response_to(rung, 180, to_tag="r"))
    assert (await worker.response(180)).to.tag == "r"
    assert line.messages.pending == []
    # the connection dies before an answer: the worker is told
    line.hang_up()
    await worker.response(503)
    assert scene.edge.remembered()["dialogs"] == 0
    worker.send(outgoing(worker, phone, contact.flow))
    await worker.response(503)


@pytest_twisted.ensureDeferred
async def test_a_farewell_goes_over_the_connection(scene: Scene) -> None:
    line, worker = await dial(scene.edge), scene.worker()
    phone = await registered(scene, line)
    [contact] = scene.edge.contacts(SipAddress("1001", "dm.localhost"))
    worker.send(outgoing(worker, phone, contact.flow))
    rung = await line.next()
    ok = response_to(rung, 200, to_tag="r", headers=(("Contact", "<sip:1001@127.0.0.1:9>"),))
    line.send(ok)
    await worker.response(200)
    scene.edge.worker_gone(worker.address)
    bye = await line.next()
    assert (bye.method, bye.uri) == ("BYE", "sip:1001@127.0.0.1:9")
    assert (bye.from_.tag, bye.to.tag) == ("local", "r")
    assert bye.cseq.number == 11
    line.send(response_to(bye, 200))
    line.hang_up()
    await line.gone()


@pytest_twisted.ensureDeferred
async def test_cancel_while_deciding_over_tcp(scene: Scene) -> None:
    line = await dial(scene.edge)
    phone = await registered(scene, line)
    scene.outside.decision = Deferred()
    invite = over_tcp(phone.message("INVITE", "sip:bob@dm.localhost", phone.contact))
    line.send(invite)
    assert (await line.next()).code == 100
    line.send(over_tcp(cancel_of(phone, invite)))
    assert [(await line.next()).code, (await line.next()).code] == [200, 487]
    line.hang_up()
