"""Large requests over UDP go by TCP (RFC 3261 §18.1.1)."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import DeferredQueue
from twisted.internet.protocol import Factory

from gateway.sip.message import Request, response_to
from tests.edge.peers import WAIT_S, Phone, Worker
from tests.edge.scene import Scene, outgoing
from tests.edge.test_streams import Line

reactor: Any = _reactor
LARGE = b"v=0\r\n" + b"a=x-padding:" + b"x" * 1300 + b"\r\n"


class Station(Factory):
    """A peer that is connected to: each connection as it comes."""

    noisy = False

    def __init__(self) -> None:
        self.lines: DeferredQueue[Line] = DeferredQueue()
        self.count = 0

    def buildProtocol(self, addr: object) -> Line:
        line = Line()
        self.count += 1
        self.lines.put(line)
        return line

    async def line(self) -> Line:
        return await self.lines.get().addTimeout(WAIT_S, reactor)


def large(worker: Worker, phone: Phone, leg: int = 1) -> Request:
    request = outgoing(worker, phone)
    via = str(request.top_via.with_param("branch", f"z9hG4bKlarge{leg}"))
    headers = request.headers.replaced("Via", via).replaced("Call-ID", f"large-{leg}")
    return request.replaced(headers=headers, body=LARGE)


@pytest_twisted.ensureDeferred
async def test_a_large_invite_goes_by_tcp_and_a_small_one_does_not(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    station = Station()
    port = reactor.listenTCP(phone.address.port, station, interface="127.0.0.1")
    try:
        worker.send(large(worker, phone))
        line = await station.line()
        rung = await line.next()
        assert (rung.top_via.transport, rung.body) == ("TCP", LARGE)
        assert rung.contacts[0].uri.transport is None  # what follows goes by UDP again
        assert phone.raw == []
        line.send(response_to(rung, 180, to_tag="b"))
        assert (await worker.response(180)).vias[0].port == worker.address.port
        # its CANCEL goes the same way
        seen = large(worker, phone)
        headers = seen.headers.replaced("CSeq", "10 CANCEL")
        worker.send(Request(headers=headers, method="CANCEL", uri=seen.uri))
        given_up = await line.next()
        assert (given_up.method, given_up.top_via) == ("CANCEL", rung.top_via)
        worker.send(outgoing(worker, phone))
        assert (await phone.request("INVITE")).top_via.transport == "UDP"
        line.hang_up()
        # once something was heard of it, the connection's end is the request's
        assert (await worker.response(503)).call_id == "large-1"
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_it_goes_by_udp_where_tcp_is_refused(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    for leg in (1, 2):  # the second time without asking
        worker.send(large(worker, phone, leg))
        rung = await phone.request("INVITE")
        assert (rung.top_via.transport, rung.body) == ("UDP", LARGE)
        phone.send(response_to(rung, 486, to_tag="b"))
        assert (await worker.response(486)).call_id == f"large-{leg}"


@pytest_twisted.ensureDeferred
async def test_a_phone_that_registered_over_udp_is_reached_by_udp(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    station = Station()
    port = reactor.listenTCP(phone.address.port, station, interface="127.0.0.1")
    try:
        await phone.register()
        worker.send(large(worker, phone))
        assert (await phone.request("INVITE")).top_via.transport == "UDP"
        assert station.count == 0
    finally:
        await port.stopListening()
