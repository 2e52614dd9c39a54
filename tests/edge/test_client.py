"""The edge's own requests, silent and refusing peers, over real sockets."""

from __future__ import annotations

import socket

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from gateway.errors import NoResponse
from gateway.sip.message import Headers, Request, Response, response_to
from gateway.values import Hop, HostPort
from tests.edge.scene import Scene, outgoing
from tests.peers.waiting import until


def options(call_id: str = "o1") -> Request:
    items = [
        ("Max-Forwards", "70"),
        ("From", "<sip:gw@dm.localhost>;tag=a"),
        ("To", "<sip:carrier.example>"),
        ("Call-ID", call_id),
        ("CSeq", "1 OPTIONS"),
    ]
    return Request(headers=Headers.of(*items), method="OPTIONS", uri="sip:carrier.example")


def hop(address: HostPort) -> Hop:
    return Hop("udp", address, "carrier.example")


def nobody() -> HostPort:
    """A port at which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return HostPort("127.0.0.1", s.getsockname()[1])


@pytest_twisted.ensureDeferred
async def test_a_request_is_repeated_until_it_is_answered(scene: Scene) -> None:
    phone = scene.phone()
    client = scene.edge.client
    asked = Deferred.fromCoroutine(client.ask(options(), hop(phone.address), 5))
    first = await phone.request("OPTIONS")
    again = await phone.request("OPTIONS")
    assert first.top_via.branch == again.top_via.branch
    phone.send(response_to(again, 100))
    phone.send(response_to(again, 404, to_tag="x"))
    response: Response = await asked
    assert response.code == 404
    assert len(client) == 0


@pytest_twisted.ensureDeferred
async def test_silence_is_told(scene: Scene) -> None:
    phone = scene.phone()
    with pytest.raises(NoResponse, match=r"OPTIONS to .* by udp: silent for 0\.3 s"):
        await scene.edge.client.ask(options(), hop(phone.address), 0.3)
    assert len(scene.edge.client) == 0


@pytest_twisted.ensureDeferred
async def test_a_port_at_which_nobody_listens(scene: Scene) -> None:
    """ICMP says so at once (RFC 3261 §18.4), and what is sent to others is not lost."""
    phone = scene.phone()
    with pytest.raises(NoResponse, match="refused"):
        await scene.edge.client.ask(options("o1"), hop(nobody()), 30)
    asked = Deferred.fromCoroutine(scene.edge.client.ask(options("o2"), hop(nobody()), 30))
    phone.send(phone.message("OPTIONS", f"sip:{scene.edge.outer}"))
    await phone.response(200)
    with pytest.raises(NoResponse, match="refused"):
        await asked


@pytest_twisted.ensureDeferred
async def test_an_invite_to_nobody_fails_at_once(scene: Scene) -> None:
    worker = scene.worker()
    worker.send(outgoing(worker, scene.phone(), f"udp:{nobody()}"))
    await worker.response(503)
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("late", [180, 200, 486])
async def test_what_is_silent_is_given_up(scene: Scene, late: int) -> None:
    """The worker is told 408; what comes later is cancelled, or ended, by the edge."""
    phone, worker = scene.phone(), scene.worker()
    invite = outgoing(worker, phone)
    headers = invite.headers.with_last("X-DMGW-Patience", "0.3")
    worker.send(invite.replaced(headers=headers))
    seen = await phone.request("INVITE")
    assert seen.headers.get("X-DMGW-Patience") is None
    await worker.response(408)
    contact = (("Contact", f"<sip:1001@{phone.address}>"),)
    phone.send(response_to(seen, late, to_tag="late", headers=contact))
    if late == 180:
        cancel = await phone.request("CANCEL")
        assert cancel.top_via.branch == seen.top_via.branch
        phone.send(response_to(cancel, 200, to_tag="late"))
        phone.send(response_to(seen, 487, to_tag="late"))
        await phone.request("ACK")
        return
    ack = await phone.request("ACK")
    assert ack.to.tag == "late"
    if late == 200:
        bye = await phone.request("BYE")
        phone.send(response_to(bye, 200))
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
async def test_what_is_heard_is_waited_for(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    invite = outgoing(worker, phone)
    headers = invite.headers.with_last("X-DMGW-Patience", "0.2")
    worker.send(invite.replaced(headers=headers))
    seen = await phone.request("INVITE")
    phone.send(response_to(seen, 100))
    await worker.response(100)
    heard: list[float] = []
    scene.edge._clock.callLater(0.5, lambda: heard.append(1.0))
    await until(lambda: heard, "longer than its patience", 2)
    phone.send(response_to(seen, 486, to_tag="x"))
    await worker.response(486)
