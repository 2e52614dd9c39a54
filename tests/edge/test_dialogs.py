"""What becomes of dialogs: in both directions, crossing, forgotten, and ended by the edge."""

from __future__ import annotations

import time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from gateway.calls.ports import Forward, IncomingInvite, Refuse
from gateway.edge.edge import Edge
from gateway.edge.flows import Flow, direct
from gateway.settings import TrustedSource
from gateway.sip.headers import Via
from gateway.sip.message import Request, Response, response_to
from gateway.sip.parser import parse_datagram
from gateway.sip.uri import SipUri, parse_uri
from gateway.values import HostPort, LegId, TelAddress
from tests.edge.peers import Phone, Worker
from tests.edge.scene import PASSWORDS, SETTINGS, Outside, Scene, cancel_of, outgoing


def worker_request(worker: Worker, like: Request, answer: Response, method: str, n: int) -> Request:
    """A request of the worker within a call that came from outside."""
    text = "\r\n".join(
        [
            f"{method} {like.contacts[0].uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {worker.address};rport;branch=z9hG4bKin{method}{n}",
            f"Route: <sip:{worker.to};lr>",
            "Max-Forwards: 70",
            f"From: {answer.headers.get('To')}",
            f"To: {answer.headers.get('From')}",
            f"Call-ID: {like.call_id}",
            f"CSeq: {n} {method}",
            f"Contact: <sip:gw@{worker.address}>",
            "Content-Length: 0",
            "",
            "",
        ]
    )
    message = parse_datagram(text.encode())
    assert isinstance(message, Request)
    return message


@pytest_twisted.ensureDeferred
async def test_requests_of_the_worker_within_a_call(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    invite, _seen, answer = await scene.call(phone, worker)
    hold = worker_request(worker, invite, answer, "INVITE", 7)
    worker.send(hold)
    got = await phone.request("INVITE")
    assert got.uri == f"sip:1001@{phone.address}"
    assert str(worker.address).encode() not in got.to_bytes()
    assert got.contacts[0] == answer.contacts[0]
    assert got.routes == ()
    ok = response_to(got, 200, headers=(("Contact", phone.contact.partition(": ")[2]),))
    phone.send(ok)
    back = await worker.response(200)
    assert str(back.top_via) == str(hold.top_via)
    worker.send(worker_request(worker, invite, answer, "ACK", 7))
    await phone.request("ACK")
    # the will has learnt of the CSeq that was used
    [will] = scene.outside.wills.values()
    last = parse_datagram(will.payload)
    assert isinstance(last, Request)
    assert (last.method, last.cseq.number) == ("BYE", 8)
    assert (last.from_.tag, last.to.tag) == (answer.to.tag, invite.from_.tag)
    assert will.destination == phone.address
    assert will.source == scene.edge.outer
    worker.send(worker_request(worker, invite, answer, "BYE", 8))
    bye = await phone.request("BYE")
    phone.send(response_to(bye, 200))
    await worker.response(200)
    assert scene.edge.remembered()["dialogs"] == 0
    assert scene.outside.wills == {}


@pytest_twisted.ensureDeferred
async def test_another_worker_has_no_say_in_a_dialog(scene: Scene) -> None:
    phone, worker, other = scene.phone(), scene.worker(), scene.worker()
    invite, _seen, answer = await scene.call(phone, worker)
    other.send(worker_request(other, invite, answer, "BYE", 2))
    await other.response(481)
    assert scene.edge.remembered()["dialogs"] == 1


@pytest_twisted.ensureDeferred
async def test_ack_of_the_edges_own_refusal_goes_no_further(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    scene.outside.decision = Refuse(480, "Not Now", 7)
    await phone.register()
    invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact)
    phone.send(invite)
    await phone.response(100)
    refused = await phone.response(480)
    assert (refused.reason, refused.headers.get("Retry-After")) == ("Not Now", "7")
    phone.send(
        phone.message(
            "ACK",
            invite.uri,
            branch=invite.top_via.branch,
            cseq=invite.cseq.number,
            to_tag=refused.to.tag,
        )
    )
    phone.send(phone.message("OPTIONS", f"sip:{scene.edge.outer}"))
    await phone.response(200)
    assert worker.raw == []


@pytest_twisted.ensureDeferred
async def test_a_retransmission_is_answered_within_10_ms(scene: Scene) -> None:
    phone = scene.phone()
    scene.outside.decision = Deferred()
    await phone.register()
    invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        phone.send(invite)
        await phone.response(100)
        took.append(time.perf_counter() - began)
    assert sorted(took)[len(took) // 2] < 0.010, took
    assert len(scene.outside.invites) == 1


@pytest_twisted.ensureDeferred
async def test_the_decision_and_the_cancel_cross(scene: Scene) -> None:
    """``incoming`` was past the point of no return: the worker gets INVITE, then CANCEL."""
    phone, worker = scene.phone(), scene.worker()
    await phone.register()

    class Stubborn(Outside):
        async def incoming(self, invite: IncomingInvite) -> Forward | Refuse:
            try:
                await Deferred[Any]()
            except CancelledError:
                return Forward(worker.address, LegId("leg1"))
            return Refuse(500)

    scene.edge.serve(Stubborn())
    invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact)
    phone.send(invite)
    await phone.response(100)
    phone.send(cancel_of(phone, invite))
    await phone.response(200)
    seen = await worker.request("INVITE")
    taken_back = await worker.request("CANCEL")
    assert taken_back.top_via.branch == seen.top_via.branch
    assert taken_back.uri == seen.uri
    worker.reply(taken_back, 200)
    worker.reply(seen, 487)
    await phone.response(487)  # and no second 200 to the CANCEL
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
async def test_without_rport_replies_go_to_the_port_of_the_via(scene: Scene) -> None:
    phone, listens = scene.phone(), scene.phone("1002")
    options = phone.message("OPTIONS", f"sip:{scene.edge.outer}")
    via = Via("UDP", "phone.example", listens.address.port, (("branch", "z9hG4bKn"),))
    phone.send(options.replaced(headers=options.headers.replaced("Via", str(via))))
    answer = await listens.response(200)
    assert answer.top_via.received == "127.0.0.1"
    assert phone.raw == []


@pytest_twisted.ensureDeferred
async def test_the_path_of_a_registration_is_followed(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    answer = await phone.register("secret1001", "Path: <sip:10.0.0.1;lr>", "Supported: path")
    assert answer.headers.fields("Path") == ("<sip:10.0.0.1;lr>",)
    worker.send(outgoing(worker, phone))
    rung = await phone.request("INVITE")
    assert rung.headers.fields("Route") == ("<sip:10.0.0.1;lr>",)


@pytest_twisted.ensureDeferred
async def test_a_worker_cannot_be_made_to_call_inside(scene: Scene) -> None:
    worker, phone = scene.worker(), scene.phone()
    for uri, code in ((f"sip:x@{phone.address}", 403), ("sip:x@example.org", 503), ("tel:+1", 416)):
        invite = outgoing(worker, phone)
        headers = invite.headers.without("X-DMGW-Flow").replaced("Call-ID", uri)
        headers = headers.replaced("Via", f"SIP/2.0/UDP {worker.address};branch=z9hG4bK{code}")
        worker.send(invite.replaced(uri=uri, headers=headers))
        await worker.response(code)
    assert phone.raw == []
    assert scene.edge.remembered()["dialogs"] == 0


@pytest.mark.parametrize(
    ("uri", "way"),
    [
        ("sip:1@192.0.2.7", "udp:192.0.2.7:5060"),
        ("sip:1@203.0.113.9:5080;transport=udp", "udp:203.0.113.9:5080"),
        ("sip:1@127.0.0.2", 403),
        ("sip:1@0.0.0.0", 403),
        ("sip:1@224.0.1.75", 403),
        ("sip:1@169.254.169.254", 403),
        ("sip:1@255.255.255.255", 403),
        ("sip:1@198.51.100.1;transport=tcp", 503),
        ("sip:1@trunk.example.org", 503),
    ],
)
def test_the_way_to_an_address(uri: str, way: str | int) -> None:
    parsed = parse_uri(uri)
    assert isinstance(parsed, SipUri)
    found = direct(parsed)
    assert (found.name if isinstance(found, Flow) else found) == way


class Later:
    """The real reactor, whose clock can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def seconds(self) -> float:
        return float(reactor.seconds()) + self.ahead  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@pytest_twisted.ensureDeferred
async def test_what_nobody_answers_is_forgotten() -> None:
    """A call to a phone that vanished, and one whose caller hung up but got no answer."""
    outside, clock = Outside(), Later()
    edge = Edge(SETTINGS, PASSWORDS, clock, outside)
    edge.wills = outside
    await edge.start()
    edge.serve(outside)
    scene = Scene(edge, outside)
    try:
        phone, worker = scene.phone(), scene.worker()
        invite, _, answer = await scene.call(phone, worker)
        worker.send(outgoing(worker, phone))
        await phone.request("INVITE")
        assert edge.remembered()["dialogs"] == 2
        worker.send(worker_request(worker, invite, answer, "BYE", 3))
        await phone.request("BYE")
        clock.ahead += 41
        edge.sweep()
        assert edge.remembered()["dialogs"] == 0
        assert edge.remembered()["outward"] == 0
        assert outside.wills == {}
        clock.ahead += 300
        edge.sweep()
        assert edge.remembered() == dict.fromkeys(scene.edge.remembered(), 0)
        clock.ahead += 3600
        edge.sweep()
        assert outside.bindings == 0
    finally:
        for peer in scene.peers:
            await peer.close()
        await edge.stop()


@pytest_twisted.ensureDeferred
async def test_a_trusted_source_needs_no_digest_and_its_caller_is_made_safe() -> None:
    outside = Outside()
    trusted = (TrustedSource(name="trunk", address="127.0.0.1"),)
    edge = Edge(SETTINGS.model_copy(update={"trusted": trusted}), PASSWORDS, reactor, outside)
    await edge.start()
    edge.serve(outside)
    phone = Phone(reactor, edge.outer)
    try:
        invite = phone.message("INVITE", "sip:+14155550123@dm.localhost", phone.contact)
        sender = '"Eve\\" \udce4\x07" <sip:+4930123@trunk.example>;tag=t'
        phone.send(invite.replaced(headers=invite.headers.replaced("From", sender)))
        await phone.response(100)
        await phone.response(404)
        [asked] = outside.invites
        assert asked.caller == TelAddress("+4930123")
        asked.caller_name.encode()
        assert asked.caller_name.isprintable()
        assert str(asked.target) == "sip:+14155550123@dm.localhost"
        assert asked.source == HostPort("127.0.0.1", phone.address.port)
    finally:
        await phone.close()
        await edge.stop()


@pytest_twisted.ensureDeferred
async def test_a_second_fork_that_answers_is_hung_up(scene: Scene) -> None:
    phone, other, worker = scene.phone(), scene.phone("other"), scene.worker()
    worker.send(outgoing(worker, phone))
    seen = await phone.request("INVITE")
    contact = (("Contact", f"<sip:1001@{phone.address}>"),)
    phone.send(response_to(seen, 200, to_tag="first", headers=contact))
    answer = await worker.response(200)
    assert answer.to.tag == "first"
    late = response_to(
        seen, 200, to_tag="second", headers=(("Contact", f"<sip:1001@{other.address}>"),)
    )
    for _ in range(2):
        phone.send(late)
        ack = await phone.request("ACK")
        assert ack.to.tag == "second"
    bye = await other.request("BYE")
    assert bye.to.tag == "second"
    assert "cause=200" in (bye.headers.get("Reason") or "")
    other.send(response_to(bye, 200))
    phone.send(response_to(seen, 200, to_tag="first", headers=contact))
    assert (await worker.response(200)).to.tag == "first"
    assert scene.edge.remembered()["dialogs"] == 1
