"""SDP that is rewritten on its way through the edge: each body once, in order, both ways."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from gateway.calls.ports import Forward
from gateway.errors import SdpUnusable
from gateway.sip.message import Request, response_to
from gateway.sip.parser import parse_datagram
from gateway.values import LegId
from tests.edge.scene import Scene, outgoing


class Anchor:
    """Says what it was asked; ``gate`` holds back what it makes."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate: Deferred[None] | None = None

    async def offer(self, sdp: str, *, from_worker: bool) -> str:
        return await self._made("offer", sdp, from_worker)

    async def answer(self, sdp: str, *, from_worker: bool) -> str:
        return await self._made("answer", sdp, from_worker)

    async def _made(self, kind: str, sdp: str, from_worker: bool) -> str:
        if self.gate is not None:
            await self.gate
        if "bad" in sdp:
            raise SdpUnusable("bad")
        self.asked.append(f"{kind} {sdp} {'out' if from_worker else 'in'}")
        return f"{sdp} rewritten"

    async def close(self) -> None:
        pass


def with_body(message: Request, body: bytes, **headers: str) -> Request:
    changed = message.headers
    for name, value in headers.items():
        changed = changed.replaced(name.replace("_", "-"), value)
    return message.replaced(headers=changed, body=body)


@pytest_twisted.ensureDeferred
async def test_a_call_from_inside(scene: Scene) -> None:
    phone, worker, anchor = scene.phone(), scene.worker(), Anchor()
    scene.edge.anchored(LegId("leg7"), anchor)
    invite = with_body(outgoing(worker, phone), b"v=0 offer")
    worker.send(invite)
    seen = await phone.request("INVITE")
    assert seen.body == b"v=0 offer rewritten"
    contact = (("Contact", f"<sip:1001@{phone.address}>"),)
    early = response_to(seen, 183, to_tag="p", headers=contact).replaced(body=b"v=0 answer")
    phone.send(early)
    assert (await worker.response(183)).body == b"v=0 answer rewritten"
    phone.send(response_to(seen, 200, to_tag="p", headers=contact).replaced(body=b"v=0 answer"))
    assert (await worker.response(200)).body == b"v=0 answer rewritten"
    assert anchor.asked == ["offer v=0 offer out", "answer v=0 answer in"]


@pytest_twisted.ensureDeferred
async def test_a_call_from_outside_and_a_re_invite(scene: Scene) -> None:
    phone, worker, anchor = scene.phone(), scene.worker(), Anchor()
    scene.edge.anchored(LegId("leg1"), anchor)
    scene.outside.decision = Forward(worker.address, LegId("leg1"), b"v=0 plain")
    await phone.register()
    invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact, body=b"v=0 dtls")
    phone.send(invite)
    await phone.response(100)
    seen = await worker.request("INVITE")
    assert seen.body == b"v=0 plain"
    headers = (worker.contact,)
    worker.send(response_to(seen, 200, to_tag="w", headers=headers).replaced(body=b"v=0 ok"))
    answer = await phone.response(200)
    assert answer.body == b"v=0 ok rewritten"
    target = str(answer.contacts[0].uri)
    again = phone.message(
        "INVITE", target, phone.contact, body=b"v=0 hold", to_tag="w", call_id=invite.call_id
    )
    phone.send(again)
    await phone.response(100)
    seen = await worker.request("INVITE")
    assert seen.body == b"v=0 hold rewritten"
    worker.send(response_to(seen, 200, headers=headers).replaced(body=b"v=0 held"))
    assert (await phone.response(200)).body == b"v=0 held rewritten"
    assert anchor.asked == ["answer v=0 ok out", "offer v=0 hold in", "answer v=0 held out"]


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_no_sdp_is_none_of_its_business(scene: Scene) -> None:
    phone, worker, anchor = scene.phone(), scene.worker(), Anchor()
    scene.edge.anchored(LegId("leg7"), anchor)
    worker.send(with_body(outgoing(worker, phone), b"v=0 offer"))
    seen = await phone.request("INVITE")
    contact = (("Contact", f"<sip:1001@{phone.address}>"),)
    phone.send(response_to(seen, 200, to_tag="p", headers=contact).replaced(body=b"v=0 answer"))
    assert (await worker.response(200)).body == b"v=0 answer rewritten"
    headers = seen.headers.replaced("CSeq", "5 INFO").without("Record-Route").without("Contact")
    headers = headers.replaced("From", f"{seen.headers.get('To')};tag=p")
    headers = headers.replaced("To", str(seen.headers.get("From")))
    headers = headers.replaced("Via", f"SIP/2.0/UDP {phone.address};branch=z9hG4bKinfo")
    headers = headers.replaced("Content-Type", "application/dtmf-relay")
    digits = b"Signal=5\r\nDuration=100\r\n"
    uri = str(seen.contacts[0].uri)
    phone.send(Request(headers=headers, method="INFO", uri=uri, body=digits))
    assert (await worker.request("INFO")).body == digits
    assert len(anchor.asked) == 2


@pytest_twisted.ensureDeferred
async def test_what_comes_behind_sdp_waits_for_it(scene: Scene) -> None:
    phone, worker, anchor = scene.phone(), scene.worker(), Anchor()
    scene.edge.anchored(LegId("leg7"), anchor)
    worker.send(with_body(outgoing(worker, phone), b"v=0 offer"))
    seen = await phone.request("INVITE")
    anchor.gate = Deferred()
    contact = (("Contact", f"<sip:1001@{phone.address}>"),)
    phone.send(response_to(seen, 183, to_tag="p", headers=contact).replaced(body=b"v=0 early"))
    phone.send(response_to(seen, 486, to_tag="p"))
    gate, anchor.gate = anchor.gate, None
    phone.send(phone.message("OPTIONS", f"sip:{scene.edge.outer}"))
    await phone.response(200)  # so both have come in before it
    assert gate is not None
    gate.callback(None)
    assert (await worker.response(183)).body == b"v=0 early rewritten"
    await worker.response(486)


@pytest.mark.parametrize("cancelled", [False, True])
@pytest_twisted.ensureDeferred
async def test_an_offer_that_cannot_be_passed_on(scene: Scene, cancelled: bool) -> None:
    """Refused, or cancelled while it is on its way: the far end hears nothing of it."""
    phone, worker, anchor = scene.phone(), scene.worker(), Anchor()
    anchor.gate = Deferred()
    scene.edge.anchored(LegId("leg7"), anchor)
    invite = with_body(outgoing(worker, phone), b"v=0 bad" if not cancelled else b"v=0 good")
    worker.send(invite)
    if cancelled:
        text = invite.to_bytes().replace(b"INVITE", b"CANCEL")
        cancel = parse_datagram(text)
        assert isinstance(cancel, Request)
        worker.send(cancel.replaced(body=b""))
        assert (await worker.response(200)).cseq.method == "CANCEL"
        await worker.response(487)
        anchor.gate.callback(None)
    else:
        worker.send(phone.message("OPTIONS", "sip:x"))  # both have come in when it is answered
        await worker.response(481)
        anchor.gate.callback(None)
        await worker.response(488)
    assert phone.raw == []
    assert scene.edge.remembered()["dialogs"] == 0
