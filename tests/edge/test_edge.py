"""The edge over real sockets, with a phone outside and a worker inside that speak SIP bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from gateway.calls.ports import Forward
from gateway.sip.message import Request, Response
from gateway.sip.parser import parse_datagram
from gateway.values import LegId, SipAddress
from tests.edge.scene import Scene, cancel_of, outgoing


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("which", [0, 1])
async def test_registration_with_either_algorithm(scene: Scene, which: int) -> None:
    phone = scene.phone()
    uri, to = "sip:dm.localhost", "sip:1001@dm.localhost"
    phone.send(phone.message("REGISTER", uri, phone.contact, to=to))
    challenge = await phone.response(401)
    offered = [v for v in challenge.headers.fields("WWW-Authenticate") if "qop" in v]
    assert ["SHA-256" in offered[0], "MD5" in offered[1]] == [True, True]
    signed = phone.authorization(challenge, "REGISTER", uri, "secret1001", which)
    phone.send(phone.message("REGISTER", uri, phone.contact, signed, "Expires: 120", to=to))
    answer = await phone.response(200)
    assert answer.headers.get("Contact") == f"<sip:1001@{phone.address}>;expires=120"
    assert scene.outside.bindings == 1
    [contact] = scene.edge.contacts(SipAddress("1001", "dm.localhost"))
    assert contact.uri == f"sip:1001@{phone.address}"
    # the same credentials again are a replay
    phone.send(phone.message("REGISTER", uri, phone.contact, signed, to=to))
    again = await phone.response(401)
    assert "stale=true" in (again.headers.get("WWW-Authenticate") or "")


@pytest_twisted.ensureDeferred
async def test_registration_is_refused(scene: Scene) -> None:
    phone = scene.phone()
    assert (await phone.register("wrong-password")).code == 403
    assert (await scene.phone("nobody").register()).code == 403
    other = scene.phone("1002")  # signs as 1002 for 1001's address of record
    uri = "sip:dm.localhost"
    other.send(other.message("REGISTER", uri, other.contact, to="sip:1001@dm.localhost"))
    challenge = await other.response(401)
    signed = other.authorization(challenge, "REGISTER", uri, "secret1002")
    other.send(other.message("REGISTER", uri, other.contact, signed, to="sip:1001@dm.localhost"))
    await other.response(403)
    assert (await phone.register("secret1001", "Expires: 5")).code == 423
    assert scene.outside.bindings == 0


@pytest_twisted.ensureDeferred
async def test_options_and_what_is_not_served(scene: Scene) -> None:
    phone = scene.phone()
    us = f"sip:{scene.edge.outer}"
    phone.send(phone.message("OPTIONS", us))
    answer = await phone.response(200)
    assert "INVITE" in (answer.headers.get("Allow") or "")
    for method, lines, code in (
        ("MESSAGE", (), 405),
        ("DANCE", (), 501),
        ("BYE", (), 481),
        ("INFO", (), 481),
        ("OPTIONS", ("Require: nothing-we-know",), 420),
        ("CANCEL", (), 481),
    ):
        phone.send(phone.message(method, us, *lines))
        refused = await phone.response(code)
        if code == 420:
            assert refused.headers.get("Unsupported") == "nothing-we-know"
    phone.send(phone.message("OPTIONS", "tel:+1"))
    await phone.response(416)
    text = phone.message("OPTIONS", us).to_bytes()
    phone.send(text.replace(b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia", 1))
    await phone.response(505)
    phone.send(text.replace(b"Max-Forwards: 70", b"Max-Forwards: 0").replace(b"OPTIONS", b"BYE"))
    await phone.response(483)
    loop = text.replace(b"Max-Forwards", b"Via: SIP/2.0/UDP %s;branch=z9hG4bKold\r\nMax-Forwards")
    phone.send(loop % str(scene.edge.outer).encode())
    await phone.response(482)


@pytest_twisted.ensureDeferred
async def test_strangers_reach_nobody(scene: Scene) -> None:
    phone = scene.phone()
    worker = scene.worker()
    for uri in (
        "sip:bob@example.org",
        f"sip:x@{worker.address}",
        "sip:x@127.0.0.1:22",
        f"sip:x@{scene.edge.inner}",
    ):
        phone.send(phone.message("INVITE", uri, phone.contact, call_id=uri))
        code = 407 if uri.endswith(str(scene.edge.inner)) else 403
        await phone.response(code)
    phone.send(phone.message("INVITE", "sip:bob@dm.localhost", phone.contact))
    await phone.response(407)
    phone.send(phone.message("OPTIONS", "sip:x@y"), to=scene.edge.inner)
    probe = phone.message("OPTIONS", f"sip:{scene.edge.outer}")
    phone.send(probe)
    await phone.response(200)
    assert scene.outside.dropped_for.count("not_a_worker") == 1
    assert scene.outside.invites == []
    assert worker.raw == []


@pytest_twisted.ensureDeferred
async def test_a_call_inwards_hides_the_loopback_side(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    invite, seen, answer = await scene.call(phone, worker)
    [asked] = scene.outside.invites
    assert asked.caller == SipAddress("1001", "dm.localhost")
    assert str(asked.target) == "sip:bob@dm.localhost"
    assert seen.headers.get("X-DMGW-Leg") == "leg1"
    assert seen.uri == f"sip:bob@{worker.address}"
    assert str(worker.address).encode() not in answer.to_bytes()
    assert str(scene.edge.inner).encode() not in answer.to_bytes()
    assert answer.record_routes == ()
    contact = answer.contacts[0].uri
    tag = answer.to.tag
    phone.send(phone.message("ACK", str(contact), to_tag=tag, cseq=invite.cseq.number))
    acked = await worker.request("ACK")
    assert acked.uri == f"sip:gw@{worker.address}"
    # in the dialog: INFO in either form comes as one form
    info = phone.message(
        "INFO", str(contact), "Content-Type: application/dtmf", to_tag=tag, body=b"5"
    )
    phone.send(info)
    digits = await worker.request("INFO")
    assert digits.headers.get("Content-Type") == "application/dtmf-relay"
    assert digits.body == b"Signal=5\r\nDuration=160\r\n"
    worker.reply(digits, 200)
    await phone.response(200)
    # wrong tags are nobody's dialog
    phone.send(phone.message("BYE", str(contact), to_tag="wrong"))
    await phone.response(481)
    phone.send(phone.message("BYE", str(contact), to_tag=tag, from_tag="wrong"))
    await phone.response(481)
    phone.send(phone.message("BYE", str(contact), to_tag=tag))
    bye = await worker.request("BYE")
    assert len(scene.outside.wills) == 1
    worker.reply(bye, 200)
    await phone.response(200)
    assert scene.edge.remembered()["dialogs"] == 0
    assert scene.outside.wills == {}


@pytest_twisted.ensureDeferred
async def test_marks_from_outside_are_stripped(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    scene.outside.decision = Forward(worker.address, LegId("mine"))
    await phone.register()
    lines = (phone.contact, "X-DMGW-Leg: theirs", "x-dmgw-flow: udp:127.0.0.1:1")
    lines += ("X-Dmgw-Source: 192.0.2.1",)
    phone.send(phone.message("INVITE", "sip:bob@dm.localhost", *lines))
    await phone.response(100)
    seen = await worker.request("INVITE")
    assert seen.headers.fields("X-DMGW-Leg") == ("mine",)
    assert seen.headers.get("X-DMGW-Flow") is None
    assert seen.headers.fields("X-DMGW-Source") == ("127.0.0.1",)


@pytest_twisted.ensureDeferred
async def test_retransmissions_get_100_and_one_decision(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    decision: Deferred[Any] = Deferred()
    scene.outside.decision = decision
    await phone.register()
    invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact)
    for _ in range(3):
        phone.send(invite)
        await phone.response(100)
    assert len(scene.outside.invites) == 1
    decision.callback(Forward(worker.address, LegId("leg1")))
    seen = await worker.request("INVITE")
    worker.reply(seen, 486)
    busy = await phone.response(486)
    phone.send(
        phone.message(
            "ACK",
            "sip:bob@dm.localhost",
            branch=invite.top_via.branch,
            cseq=invite.cseq.number,
            to_tag=busy.to.tag,
        )
    )
    await worker.request("ACK")
    phone.send(invite)
    await phone.response(486)
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
async def test_cancel_before_and_after_the_decision(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    await phone.register()
    given_up: list[object] = []
    scene.outside.decision = Deferred(given_up.append)
    invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact)
    phone.send(invite)
    await phone.response(100)
    phone.send(cancel_of(phone, invite))
    codes = {(await phone.next()).code, (await phone.next()).code}  # type: ignore[union-attr]
    assert codes == {200, 487}
    assert len(given_up) == 1
    scene.outside.decision = Forward(worker.address, LegId("leg1"))
    invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact, call_id="second")
    phone.send(invite)
    await phone.response(100)
    seen = await worker.request("INVITE")
    worker.reply(seen, 180)
    await phone.response(180)
    cancel = phone.message(
        "CANCEL",
        invite.uri,
        branch=invite.top_via.branch,
        cseq=invite.cseq.number,
        call_id="second",
    )
    phone.send(cancel)
    inner = await worker.request("CANCEL")
    assert inner.top_via.branch == seen.top_via.branch
    assert inner.uri == seen.uri
    worker.reply(inner, 200)
    worker.reply(seen, 487)
    await phone.response(200)
    await phone.response(487)
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
async def test_a_call_outwards(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    invite = outgoing(worker, phone)
    worker.send(invite)
    rung = await phone.request("INVITE")
    assert str(worker.address).encode() not in rung.to_bytes()
    assert str(scene.edge.inner).encode() not in rung.to_bytes()
    assert b"X-DMGW" not in rung.to_bytes()
    assert len(rung.vias) == 1
    answer = Response(
        headers=rung.headers.replaced("Contact", f"<sip:1001@{phone.address}>")
        .replaced("To", f"{rung.headers.get('To')};tag=remote")
        .without("Max-Forwards"),
        code=200,
        reason="OK",
    )
    phone.send(answer)
    got = await worker.response(200)
    assert got.headers.fields("X-DMGW-Source") == ("127.0.0.1",)
    assert str(got.top_via) == str(invite.top_via)
    assert got.headers.fields("Record-Route") == (f"<sip:{scene.edge.inner};lr>",)
    # the phone ends it, to the Contact it was given
    contact = str(rung.contacts[0].uri)
    phone.send(
        phone.message(
            "BYE",
            contact,
            call_id=rung.call_id,
            from_tag="remote",
            to_tag="local",
        )
    )
    bye = await worker.request("BYE")
    assert bye.uri == f"sip:gw@{worker.address}"
    # a forged response with a branch that is not ours goes nowhere
    stranger = scene.phone("1002")
    stranger.send(
        answer.replaced(headers=answer.headers.replaced("Via", "SIP/2.0/UDP h;branch=z9hG4bKx"))
    )
    worker.reply(bye, 200)
    await phone.response(200)
    assert scene.outside.dropped_for.count("stray_response") == 1
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
async def test_no_flow_no_way_out(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    worker.send(outgoing(worker, phone, "tcp:999"))
    await worker.response(503)
    assert phone.raw == []


@pytest_twisted.ensureDeferred
async def test_a_dead_workers_calls_are_ended(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    invite, _seen, answer = await scene.call(phone, worker)
    [will] = scene.outside.wills.values()
    scene.edge.worker_gone(worker.address)
    bye = await phone.request("BYE")
    assert bye.uri == f"sip:1001@{phone.address}"
    assert bye.call_id == invite.call_id
    assert bye.to.tag == invite.from_.tag
    assert bye.from_.tag == answer.to.tag
    willed = parse_datagram(will.payload)
    assert isinstance(willed, Request)
    assert (willed.method, will.destination) == ("BYE", phone.address)
    again = await phone.request("BYE")  # not answered, so it is said again
    assert again.top_via.branch == bye.top_via.branch
    answered = Response(headers=bye.headers.without("Max-Forwards"), code=200, reason="OK")
    phone.send(answered)
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
async def test_a_worker_dies_before_anybody_answered(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    scene.outside.decision = Forward(worker.address, LegId("leg1"))
    await phone.register()
    phone.send(phone.message("INVITE", "sip:bob@dm.localhost", phone.contact))
    await phone.response(100)
    await worker.request("INVITE")
    other = scene.worker()
    callee = scene.phone("1002")
    other.send(outgoing(other, callee))
    rung = await callee.request("INVITE")
    scene.edge.worker_gone(worker.address)
    await phone.response(500)
    scene.edge.worker_gone(other.address)
    cancelled = await callee.request("CANCEL")
    assert cancelled.top_via.branch == rung.top_via.branch
    refused = Response(
        headers=rung.headers.replaced("To", f"{rung.headers.get('To')};tag=r").without("Contact"),
        code=487,
        reason="Request Terminated",
    )
    callee.send(refused)
    acked = await callee.request("ACK")
    assert acked.top_via.branch == rung.top_via.branch
    assert scene.edge.remembered()["dialogs"] == 0


@pytest_twisted.ensureDeferred
async def test_draining_refuses_new_calls_only(scene: Scene) -> None:
    phone = scene.phone()
    await phone.register()
    scene.edge.refuse_new(True)
    phone.send(phone.message("INVITE", "sip:bob@dm.localhost", phone.contact))
    refused = await phone.response(503)
    assert refused.headers.get("Retry-After") == "30"


@pytest_twisted.ensureDeferred
async def test_noise_leaves_it_answering_and_empty(scene: Scene) -> None:
    phone, noise = scene.phone(), scene.phone("1002")
    noise.datagramReceived = lambda *_: None  # type: ignore[method-assign]
    rng = random.Random(4475)
    seeds = [
        noise.message("INVITE", "sip:bob@dm.localhost", noise.contact, body=b"v=0").to_bytes(),
        noise.message("REGISTER", "sip:dm.localhost", noise.contact).to_bytes(),
        noise.message("OPTIONS", "sip:dm.localhost").to_bytes(),
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n",
    ]
    for n in range(2000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 12)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if n % 5 == 0:
            data = data[: rng.randrange(len(data))]
        noise.send(bytes(data))
        if n % 50 == 0:
            phone.send(phone.message("OPTIONS", f"sip:{scene.edge.outer}"))
            await phone.response(200)
    held = scene.edge.remembered()
    assert held["dialogs"] == 0
    assert scene.outside.invites == []
