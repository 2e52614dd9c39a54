"""Who may not begin or bend a SIP leg: strangers, hostile SDP, REFER and Replaces."""

from __future__ import annotations

import re

import pytest_twisted

from gateway.errors import MediaFailed
from gateway.values import LegId
from tests.media.conftest import MakeScene
from tests.media.hearing import hears
from tests.media.scene import Scene
from tests.media.sdp import offer
from tests.peers.app_client import plain_offer
from tests.peers.waiting import pause

A, B, S, T = LegId("a"), LegId("b"), LegId("s"), LegId("t")


@pytest_twisted.ensureDeferred
async def test_an_invite_that_nobody_expects_is_refused(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    await lease.expect_sip_leg(S)
    begun = scene.calling(lease)
    begun.send_invite(None, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    for extra in ((), (("x-dmgw-leg", "other"),), (("x-dmgw-leg", "a"),), (("x-dmgw-leg", "s"),)):
        call = scene.calling(lease)
        call.send_invite(None, *extra)
        assert (await call.final()).code == 403
    marked = scene.calling(lease)
    assert marked.stream is not None
    marked.send_invite(plain_offer(marked.stream) + "a=x:\r\nX-DMGW-Leg: t\r\n")
    await lease.expect_sip_leg(T)
    assert (await marked.final()).code >= 400
    await lease.connect(A, A)
    await hears(app, 700)
    assert not scene.told.all("closed")


@pytest_twisted.ensureDeferred
async def test_only_the_edge_may_invite(scene: Scene, make_scene: MakeScene) -> None:
    lease = await scene.lend(1)
    stranger = (await make_scene()).phone
    stranger.server = (lease.sip.host, lease.sip.port)
    await lease.expect_sip_leg(S)
    call = stranger.call(f"sip:in@{lease.sip}", stranger.stream())
    call.send_invite(None, ("x-dmgw-leg", "s"))
    assert (await call.final()).code == 403
    ours = scene.calling(lease)
    ours.send_invite(None, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")


HOSTILE = {
    "DTLS": offer(4000, "PCMU", profile="UDP/TLS/RTP/SAVPF"),
    "DTLS without F": offer(4000, "PCMU", profile="UDP/TLS/RTP/SAVP"),
    "SRTP without keys": offer(4000, "PCMU", profile="RTP/SAVP"),
    "SRTP with half a key": offer(4000, "PCMU", profile="RTP/SAVP", crypto="c2hvcnQ="),
    "another network": offer(4000, "PCMU").replace("IP4 127.0.0.1", "IP6 ::1"),
    "no payload type": offer(4000, "PCMU").replace("RTP/AVP 0 101", "RTP/AVP"),
    "a negative port": offer(4000, "PCMU").replace("m=audio 4000", "m=audio -4000"),
    "a long address": offer(4000, "PCMU").replace("127.0.0.1", "a" * 254),
    "a long RTCP address": offer(4000, "PCMU", extra=f"a=rtcp:9 IN IP4 {'a' * 300}\r\n"),
    "no media": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n",
}


@pytest_twisted.ensureDeferred
async def test_hostile_offers_are_refused(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    for what, sdp in HOSTILE.items():
        leg = LegId(f"s-{what}".replace(" ", "-"))
        await lease.expect_sip_leg(leg)
        call = scene.calling(lease)
        call.send_invite(sdp, ("x-dmgw-leg", leg))
        told = await scene.told.expect(
            lambda e, leg=leg: e.leg == leg and e.name in ("incoming", "closed"), what
        )
        if told.name == "incoming":
            try:
                await lease.answer(leg, 200)
            except MediaFailed:
                pass
            else:
                await lease.close_leg(leg, 488, "")
        final = await call.final()
        assert final.code in (400, 406, 488), what
        call.ack(final)
        await scene.told.that("closed", leg)
    await lease.connect(A, A)
    await hears(app, 700)


@pytest_twisted.ensureDeferred
async def test_hostile_offers_in_a_call_are_refused_and_the_call_goes_on(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    for what, sdp in HOSTILE.items():
        if what == "no media":
            continue
        call.send_invite(sdp)
        final = await call.final()
        assert final.code in (400, 406, 415, 488), what
        call.ack(final)
    await hears(app, 440)


@pytest_twisted.ensureDeferred
async def test_the_far_end_cannot_make_us_call(scene: Scene) -> None:
    """REFER, and an INVITE that replaces a call: only the call machine decides on calls."""
    lease = await scene.lend(3)
    call = await scene.invited(lease, "s")
    mark = scene.phone.messages.mark()
    to = ("refer-to", "<sip:victim@127.0.0.1>")
    assert (await call.in_dialog("REFER", "", to)).code == 603
    await lease.expect_sip_leg(T)
    other = scene.calling(lease)
    tags = [re.search(r"tag=(.+)$", x) for x in (call.remote, call.local)]
    assert tags[0] and tags[1]
    replaces = f"{call.call_id};to-tag={tags[0][1]};from-tag={tags[1][1]}"
    other.send_invite(None, ("x-dmgw-leg", "t"), ("replaces", replaces))
    assert (await other.final()).code >= 400
    await pause(0.3)
    assert not [m for m in scene.phone.messages.seen[mark:] if m.first.startswith("INVITE")]
    assert not scene.told.all("closed", "s")
